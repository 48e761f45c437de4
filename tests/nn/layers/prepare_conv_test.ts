import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  convForward,
  convForwardNaive,
  type ConvParams,
  type DType,
  explainConv,
  prepareConv,
  tensor,
  useArithmetic,
  useKernels,
} from "../../../mod.ts";
import { forwardPass } from "../../../kernels/passes.ts";
import { convShape } from "../../../kernels/shape.ts";
import { vectors } from "../../../kernels/simd/vector.ts";
import { forwardGrid } from "../../../kernels/simd/winograd_tiles.ts";
import { made } from "../../support/kernels.ts";
import { watchWasm } from "../../support/watch.ts";

type Sizes = readonly [N: number, C: number, H: number, W: number];

/** One shape for each algorithm, by few images and by many. */
const CASES: readonly (readonly [what: string, x: Sizes, w: Sizes, params: ConvParams])[] = [
  ["direct", [2, 3, 9, 31], [7, 3, 3, 3], { stride: 2, pad: 1 }],
  ["depthwise", [2, 6, 9, 11], [6, 1, 3, 3], { pad: 1, groups: 6 }],
  ["winograd", [3, 16, 18, 20], [16, 16, 3, 3], { pad: 1 }],
  ["winograd", [4, 64, 7, 7], [64, 64, 3, 3], { pad: 1 }],
  ["gemm", [1, 64, 7, 7], [128, 64, 1, 1], {}],
  ["gemm", [1, 32, 7, 7], [32, 32, 3, 3], { pad: 1 }],
  ["batched", [16, 32, 3, 3], [32, 32, 3, 3], { pad: 1 }],
  ["batched", [11, 32, 3, 3], [32, 32, 3, 3], { pad: 1 }],
];

describe("prepareConv()", () => {
  for (const dtype of ["float32", "float64"] as const) {
    for (const [what, xShape, wShape, params] of CASES) {
      it(`gives the definition's numbers, ${what}, ${xShape[0]} images, ${dtype}`, () => {
        const { x, w, b } = operands(xShape, wShape, dtype);
        const expected = convForwardNaive(x, w, b, params).out;
        const prepared = prepareConv(xShape, w, b, params);
        assertEquals(prepared.name, explainConv(xShape, wShape, params, dtype).name);
        if (what !== "direct") assert(prepared.name.includes(what), prepared.name);
        // The first call packs; other kernels use the memory in between.
        for (let call = 0; call < 3; call++) {
          assertEquals(prepared.forward(x), expected);
          convForward(x, w, null, params);
        }
        // Another number of images may have another algorithm.
        const one = tensor(x.data.slice(0, x.data.length / xShape[0]), [1, ...xShape.slice(1)]);
        assertEquals(prepared.forward(one), convForwardNaive(one, w, b, params).out);
        assertEquals(prepared.forward(x), expected);
      });
    }

    it(`takes no biases, and does not see later writes, ${dtype}`, () => {
      const [, xShape, wShape, params] = CASES[4];
      const { x, w, b } = operands(xShape, wShape, dtype);
      const expected = convForwardNaive(x, w, b, params).out;
      const unbiased = convForwardNaive(x, w, null, params).out;
      const prepared = prepareConv(xShape, w, b, params);
      const plain = prepareConv(xShape, w, null, params);
      w.data.fill(7);
      b.data.fill(7);
      assertEquals(prepared.forward(x), expected);
      assertEquals(plain.forward(x), unbiased);
    });
  }

  it("is served by every tier, and by interpreted arithmetic", () => {
    const [, xShape, wShape, params] = CASES[5];
    const { x, w, b } = operands(xShape, wShape, "float64");
    const expected = convForwardNaive(x, w, b, params).out;
    for (const tier of ["simd", "generated", "naive"] as const) {
      using _ = useKernels(tier);
      assertEquals(prepareConv(xShape, w, b, params).forward(x), expected);
    }
    using _ = useArithmetic("reproducible");
    assertEquals(prepareConv(xShape, w, b, params).forward(x), expected);
  });

  it("keeps images and weights that are not finite as they are", () => {
    for (const [, xShape, wShape, params] of CASES) {
      const { x, w, b } = operands(xShape, wShape, "float32");
      w.data[3] = Infinity;
      const prepared = prepareConv(xShape, w, b, params);
      assertEquals(prepared.forward(x), convForward(x, w, b, params).out);
      x.data[5] = NaN;
      assertEquals(prepared.forward(x), convForward(x, w, b, params).out);
    }
  });

  it("runs an image that is alone by a program that reads its weights in place", () => {
    // A shape of its own: its programs are compiled here.
    const xShape: Sizes = [1, 68, 7, 7], wShape: Sizes = [64, 68, 3, 3], params = { pad: 1 };
    const { x, w, b } = operands(xShape, wShape, "float32");
    const prepared = prepareConv(xShape, w, b, params);
    const { modules } = watchWasm(() => prepared.forward(x));
    const inPlace = modules.filter((module) =>
      WebAssembly.Module.imports(module).some(({ name }) => name === "1")
    );
    const functions = inPlace.map((module) =>
      WebAssembly.Module.exports(module).map(({ name }) => name)
    );
    assertEquals(functions.length, 1);
    assert(functions[0].includes("transform2"), functions[0].join());
    // One row of tiles holds the image, where several images take 8 vectors together.
    assertEquals(forwardGrid(vectors.float32, passOf(xShape, wShape, params)).images, 2);
  });

  it("compiles nothing when it has run once", () => {
    const [, xShape, wShape, params] = CASES[5];
    const { x, w, b } = operands(xShape, wShape, "float32");
    const prepared = prepareConv(xShape, w, b, params);
    prepared.forward(x);
    assertEquals(watchWasm(() => prepared.forward(x)).modules.length, 0);
  });

  it("refuses what does not fit", () => {
    const [, xShape, wShape, params] = CASES[4];
    const { x, w, b } = operands(xShape, wShape, "float32");
    const prepared = prepareConv(xShape, w, b, params);
    const other = operands([1, 64, 7, 8], wShape, "float32").x;
    assertThrows(() => prepared.forward(other), RangeError, "the input that was prepared");
    const double = operands(xShape, wShape, "float64");
    assertThrows(() => prepared.forward(double.x), TypeError, "x must be float32, as w is");
    // @ts-expect-error Not a tensor.
    assertThrows(() => prepared.forward(x.data), TypeError, "x");
    assertThrows(() => prepareConv([1, 63, 7, 7], w, b, params), RangeError);
    assertThrows(() => prepareConv(xShape, w, tensor(b.data.slice(1), [127]), params), RangeError);
    assertThrows(() => prepareConv(xShape, w, double.b, params), TypeError);
    // @ts-expect-error Biases are left out as null.
    assertThrows(() => prepareConv(xShape, w, undefined, params), TypeError, "null for no biases");
  });
});

function passOf(xShape: Sizes, wShape: Sizes, params: ConvParams) {
  return forwardPass(convShape(xShape, wShape, params));
}

/** Whole numbers, which no order of sums rounds. */
function operands<D extends DType>(xShape: Sizes, wShape: Sizes, dtype: D) {
  const of = (shape: readonly number[]) =>
    tensor(made(shape.reduce((a, b) => a * b), dtype, "integers"), shape);
  return { x: of(xShape), w: of(wShape), b: of([wShape[0]]) };
}
