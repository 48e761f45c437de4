import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { product } from "../../kernels/maps/product.ts";
import * as operations from "../../kernels/operations.ts";
import { select } from "../../kernels/select.ts";
import { averagePoolShape, convShape, poolShape } from "../../kernels/shape.ts";
import * as simdTier from "../../kernels/simd/tier.ts";
import { ask, finishes, type Offers, type Operation, type ShapeOf } from "../../kernels/tier.ts";

const tiers = ["simd", "generated", "naive"] as const;
const pool = { poolHeight: 2, poolWidth: 2, stride: 2 };
const shapes = {
  conv: convShape([1, 3, 8, 8], [4, 3, 3, 3], { pad: 1 }),
  maxPool: poolShape([1, 1, 8, 8], pool),
  averagePool: averagePoolShape([1, 1, 8, 8], pool),
  affine: { D: 4, M: 5 },
  map: product,
  norm: { P: 9 },
} as const;

/** Asserts that no tier takes a field that it does not know. */
function assertRefused<O extends Operation>(offers: Offers<O>, shape: ShapeOf<O>): void {
  for (const tier of tiers) {
    const { kernel, reason } = ask<O>(offers[tier], shape, "float64");
    assertEquals(kernel, undefined);
    assertMatch(reason, /wrapAround true|no kernels for this operation/);
  }
  assertThrows(() => select(offers, shape, "float64"), Error, "wrapAround");
}

describe("ask()", () => {
  for (const offers of Object.values(operations)) {
    const { operation } = offers;
    it(`lets every tier refuse a field of ${operation} that it does not know`, () => {
      // A field that a later geometry might have.
      const shape = { ...shapes[operation], wrapAround: true };
      assertRefused<Operation>(offers, shape);
    });
  }

  it("takes a field for plain where it means nothing special", () => {
    const dilated = convShape([1, 3, 8, 8], [4, 3, 3, 3], { dilation: 2 });
    const plainPool = { ...shapes.maxPool, dilationY: 2 };
    assertEquals(ask(simdTier.conv, dilated, "float64").kernel?.tier, "simd");
    assertMatch(ask(simdTier.maxPool, plainPool, "float64").reason, /dilationY 2/);
    assertEquals(ask(simdTier.maxPool, shapes.maxPool, "float64").kernel?.tier, "simd");
  });
});

describe("finishes()", () => {
  it("is false for a field of an epilogue that a tier does not name", () => {
    const bias = new Float64Array(4);
    for (const tier of tiers) {
      const conv = operations.convKernels[tier];
      assertEquals(finishes(conv, { bias, relu: true }), true);
      assertEquals(finishes(conv, { bias, relu: undefined }), true);
      // @ts-expect-error: a field that a later epilogue might have
      assertEquals(finishes(conv, { bias, clamp: 6 }), false);
      assertEquals(finishes(operations.maxPoolKernels[tier], { relu: true }), false);
    }
  });
});
