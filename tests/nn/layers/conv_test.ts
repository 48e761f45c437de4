import { describe, it } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  conv1dForward,
  convBackward,
  convBackwardNaive,
  type ConvCache,
  convForward,
  convForwardNaive,
  type ConvParams,
  convReluForward,
  convTransposeForward,
  convTransposeForwardNaive,
  explainConv,
  type KernelChoice,
  RandomState,
  type Tensor,
  tensor,
  useKernels,
} from "../../../mod.ts";
import { assertGradients } from "../../support/gradients.ts";
import { SEED } from "../../support/kernels.ts";
import { assertSameBits } from "../../support/bits.ts";
import { anyConv, samePads, sizeOf, type WeightedCase, wholes } from "../../support/geometries.ts";

const tiers: readonly KernelChoice[] = ["auto", "generated", "naive"];
const random = new RandomState(231);

/** Channels from, to of x (N, C, ...). */
function channels({ data, shape: [N, C, ...plane] }: Tensor, from: number, to: number): Tensor {
  const P = sizeOf(plane);
  const parts = Array.from({ length: N }, (_, n) => [
    ...data.subarray((n * C + from) * P, (n * C + to) * P),
  ]);
  return tensor(Float64Array.from(parts.flat()), [N, to - from, ...plane]);
}

/** Rows from, to of the first dimension. */
function rows({ data, shape: [M, ...rest] }: Tensor, from: number, to: number): Tensor {
  const P = data.length / M;
  return tensor(Float64Array.from(data.subarray(from * P, to * P)), [to - from, ...rest]);
}

/** Filters whose taps lie `dilation` apart, with zeros between. */
function stuffed({ data, shape: [F, C, KH, KW] }: Tensor, [dy, dx]: readonly number[]): Tensor {
  const EH = dy * (KH - 1) + 1, EW = dx * (KW - 1) + 1;
  const out = new Float64Array(F * C * EH * EW);
  data.forEach((weight, i) => {
    const kx = i % KW, ky = Math.floor(i / KW) % KH, plane = Math.floor(i / (KW * KH));
    out[(plane * EH + ky * dy) * EW + kx * dx] = weight;
  });
  return tensor(out, [F, C, EH, EW]);
}

/** The taps of stuffed filters. */
function unstuffed(
  { data, shape: [, , EH, EW] }: Tensor,
  shape: readonly number[],
  dilation: readonly number[],
): Tensor {
  const [, , KH, KW] = shape;
  return tensor(
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
      const kx = i % KW, ky = Math.floor(i / KW) % KH, plane = Math.floor(i / (KW * KH));
      return data[(plane * EH + ky * dilation[0]) * EW + kx * dilation[1]];
    }),
    shape,
  );
}

/** Operands of whole numbers. */
const operands = ({ xShape, wShape, biases }: WeightedCase<ConvParams>) =>
  [wholes(xShape), wholes(wShape), wholes([biases])] as const;

const runs = { numRuns: 200, seed: SEED };

describe("Convolutions with dilation and groups", () => {
  const cases: Readonly<Record<string, WeightedCase<ConvParams>>> = {
    "dilated": {
      xShape: [2, 3, 7, 8],
      wShape: [4, 3, 3, 2],
      biases: 4,
      params: { dilation: [2, 3], pad: [1, 2, 0, 1] },
    },
    "dilated, with a stride": {
      xShape: [2, 2, 9, 9],
      wShape: [3, 2, 3, 3],
      biases: 3,
      params: { dilation: 2, stride: 2, pad: "same" },
    },
    "grouped": {
      xShape: [2, 4, 5, 6],
      wShape: [6, 2, 3, 3],
      biases: 6,
      params: { groups: 2, pad: 1 },
    },
    "depthwise": {
      xShape: [2, 4, 6, 5],
      wShape: [4, 1, 3, 3],
      biases: 4,
      params: { groups: 4, pad: "same", stride: 2 },
    },
    "depthwise with two filters a channel, dilated": {
      xShape: [1, 3, 7, 7],
      wShape: [6, 1, 3, 3],
      biases: 6,
      params: { groups: 3, dilation: 2, pad: "valid" },
    },
  };
  for (const kernels of tiers) {
    for (const [name, { xShape, wShape, biases, params }] of Object.entries(cases)) {
      it(`have gradients that agree with central differences: ${name}, ${kernels} kernels`, () => {
        using _ = useKernels(kernels);
        const x = random.randn(xShape), w = random.randn(wShape), b = random.randn([biases]);
        const forward = () => convForward(x, w, b, params).out;
        const { out, cache } = convForward(x, w, b, params);
        const dout = random.randn(out.shape);
        const { dx, dw, db } = convBackward(dout, cache);
        assertGradients(forward, dout, { dx: [x, dx, 1e-7], dw: [w, dw, 1e-7], db: [b, db, 1e-7] });
      });
    }
  }

  it("are equal to separate convolutions of the groups", () => {
    fc.assert(
      fc.property(anyConv, (c) => {
        const [x, w, b] = operands(c);
        const { groups = 1, ...rest } = c.params;
        const { out, cache } = convForward(x, w, b, c.params);
        const dout = wholes(out.shape);
        const { dx, dw, db } = convBackward(dout, cache);
        const C = c.wShape[1], F = c.biases / groups;
        for (let g = 0; g < groups; g++) {
          const part = convForwardNaive(
            channels(x, g * C, (g + 1) * C),
            rows(w, g * F, (g + 1) * F),
            rows(b, g * F, (g + 1) * F),
            rest,
          );
          const parts = convBackwardNaive(channels(dout, g * F, (g + 1) * F), part.cache);
          assertEquals(channels(out, g * F, (g + 1) * F), part.out);
          assertEquals(channels(dx, g * C, (g + 1) * C), parts.dx);
          assertEquals(rows(dw, g * F, (g + 1) * F), parts.dw);
          assertEquals(rows(db, g * F, (g + 1) * F), parts.db);
        }
      }),
      runs,
    );
  });

  it("are equal to plain ones of filters with zeros between their taps", () => {
    fc.assert(
      fc.property(anyConv, (c) => {
        const [x, w, b] = operands(c);
        const { dilation, ...rest } = c.params;
        const steps = dilation as readonly [number, number];
        const { out, cache } = convForward(x, w, b, c.params);
        const plain = convForwardNaive(x, stuffed(w, steps), b, rest);
        assertEquals(out, plain.out);
        const dout = wholes(out.shape);
        const { dx, dw, db } = convBackward(dout, cache);
        const expected = convBackwardNaive(dout, plain.cache);
        assertEquals({ dx, db }, { dx: expected.dx, db: expected.db });
        assertEquals(dw, unstuffed(expected.dw, c.wShape, steps));
      }),
      runs,
    );
  });
});

describe('Padding "same"', () => {
  it("makes ceil(size / stride) rows and columns, the odd zeros at the bottom and right", () => {
    fc.assert(
      fc.property(anyConv, (c) => {
        const [x, w, b] = operands(c);
        const { stride, dilation } = c.params as Record<string, readonly [number, number]>;
        const { out, cache } = convForward(x, w, b, { ...c.params, pad: "same" });
        const [, , H, W] = c.xShape, [, , KH, KW] = c.wShape;
        assertEquals(out.shape.slice(2), [Math.ceil(H / stride[0]), Math.ceil(W / stride[1])]);
        const [top, bottom] = samePads(H, dilation[0] * (KH - 1) + 1, stride[0]);
        const [left, right] = samePads(W, dilation[1] * (KW - 1) + 1, stride[1]);
        const numbers = convForwardNaive(x, w, b, { ...c.params, pad: [top, left, bottom, right] });
        assertEquals(out, numbers.out);
        assertEquals(cache.convParam, numbers.cache.convParam);
        assertEquals(bottom - top === 0 || bottom - top === 1, true);
      }),
      runs,
    );
  });

  it('and "valid" have no zeros where none are needed', () => {
    const x = wholes([1, 1, 6, 6]), w = wholes([1, 1, 2, 2]);
    const same = convForward(x, w, null, { stride: 2, pad: "same" });
    assertEquals(same.out, convForward(x, w, null, { stride: 2, pad: "valid" }).out);
    assertEquals(same.cache.convParam.pad, [0, 0, 0, 0]);
  });
});

describe("A convolution without biases", () => {
  for (const kernels of tiers) {
    for (const dtype of ["float32", "float64"] as const) {
      it(`is one with biases of 0, and its db is null, ${kernels} kernels, ${dtype}`, () => {
        using _ = useKernels(kernels);
        const x = random.randn([2, 3, 9, 9], dtype), w = random.randn([4, 3, 3, 3], dtype);
        const zeros = tensor(x.data.slice(0, 4).fill(0), [4]);
        for (
          const [forward, backward] of [
            [convForward, convBackward],
            [convForwardNaive, convBackwardNaive],
          ] as const
        ) {
          const plain = forward<Tensor["data"], null>(x, w, null, { pad: 1 });
          const biased = forward<Tensor["data"]>(x, w, zeros, { pad: 1 });
          assertSameBits(plain.out, biased.out);
          const { dx, dw, db } = backward<Tensor["data"], null>(plain.out, plain.cache);
          const expected = backward<Tensor["data"]>(biased.out, biased.cache);
          assertSameBits({ dx, dw }, { dx: expected.dx, dw: expected.dw });
          assertEquals(db, null);
          assertEquals(Object.keys(backward(plain.out, plain.cache, { dx: false })), ["dw", "db"]);
        }
      });
    }
  }

  it("keeps null in its cache, and the gradient's type says so", () => {
    const { out, cache } = convForward(
      random.randn([1, 1, 3, 3]),
      random.randn([1, 1, 2, 2]),
      null,
      {},
    );
    const same: ConvCache<Float64Array, null> = cache;
    const nothing: null = convBackward(out, same).db;
    assertEquals([cache.b, nothing], [null, null]);
  });
});

describe("A convolution without parameters", () => {
  const x = random.randn([2, 3, 6, 6]), w = random.randn([4, 3, 3, 3]), b = random.randn([4]);
  const written = { stride: 1, pad: 0 };

  it("is one of stride 1 without padding, and so is its gradient", () => {
    assertSameBits(convForwardNaive(x, w, b), convForwardNaive(x, w, b, written));
    assertSameBits(convReluForward(x, w, b), convReluForward(x, w, b, written));
    const { out, cache } = convForward(x, w, b);
    assertEquals(out.shape, [2, 4, 4, 4]);
    assertSameBits({ out, cache }, convForward(x, w, b, written));
    assertSameBits(
      convBackward(out, cache),
      convBackward(out, convForward(x, w, b, written).cache),
    );
    assertEquals(explainConv(x.shape, w.shape), explainConv(x.shape, w.shape, written));
  });
  it("is so transposed, and of sequences, too", () => {
    for (const forward of [convTransposeForward, convTransposeForwardNaive]) {
      const transposed = random.randn([3, 4, 3, 3]);
      assertSameBits(forward(x, transposed, b).out, forward(x, transposed, b, written).out);
    }
    const line = random.randn([2, 3, 9]), filters = random.randn([4, 3, 3]);
    assertSameBits(
      conv1dForward(line, filters, b).out,
      conv1dForward(line, filters, b, written).out,
    );
  });
});

describe("A convolution's cache", () => {
  it("keeps dilation and groups, whatever becomes of the parameters that made it", () => {
    const dilation: [number, number] = [2, 2];
    const x = random.randn([1, 4, 7, 7]), w = random.randn([4, 2, 3, 3]);
    const convParam = { dilation, groups: 2, pad: 2 };
    const { out, cache } = convForward(x, w, null, convParam);
    const before = convBackward(out, cache);
    dilation.fill(1);
    convParam.groups = 4;
    assertSameBits(convBackward(out, cache), before);
    assertEquals(cache.convParam, {
      stride: [1, 1],
      pad: [2, 2, 2, 2],
      dilation: [2, 2],
      groups: 2,
    });
  });
});
