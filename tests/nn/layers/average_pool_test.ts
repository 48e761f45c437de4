import { describe, it } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  averagePoolBackward,
  averagePoolBackwardNaive,
  averagePoolForward,
  averagePoolForwardNaive,
  type AveragePoolParams,
  convBackward,
  convForward,
  explainAveragePool,
  full,
  globalAverageForward,
  type KernelChoice,
  linspace,
  RandomState,
  type Tensor,
  tensor,
  useKernels,
} from "../../../mod.ts";
import { assertGradients } from "../../support/gradients.ts";
import { made, SEED } from "../../support/kernels.ts";
import { assertSameBits } from "../../support/bits.ts";
import { anyAveragePool, sizeOf, wholes } from "../../support/geometries.ts";

const tiers: readonly KernelChoice[] = ["auto", "generated", "naive"];
const runs = { numRuns: 200, seed: SEED };
const implementations = [
  [averagePoolForward, averagePoolBackward],
  [averagePoolForwardNaive, averagePoolBackwardNaive],
] as const;

/** Multiples of every count that a window of up to 4 x 4 has, so that averages are whole. */
function multiples(shape: readonly number[]): Tensor {
  const data = made(sizeOf(shape), "float64", "integers").map((value) => 144 * value);
  return tensor(Float64Array.from(data), shape);
}

describe("Average pools", () => {
  it("of a constant are that constant, but for padding that counts", () => {
    fc.assert(
      fc.property(anyAveragePool, fc.integer({ min: -9, max: 9 }), ({ xShape, params }, value) => {
        for (const [forward] of implementations) {
          const x = full(xShape, value);
          const { out } = forward(x, { ...params, countIncludePad: false });
          assertEquals(out, full(out.shape, value));
          if (xShape[2] < params.poolHeight || xShape[3] < params.poolWidth) continue;
          const unpadded = forward(x, { ...params, pad: "valid", countIncludePad: true });
          assertEquals(unpadded.out, full(unpadded.out.shape, value));
        }
      }),
      runs,
    );
  });

  it("are depthwise convolutions with weights of one over the window's size", () => {
    fc.assert(
      fc.property(anyAveragePool, ({ xShape, params }) => {
        const { poolHeight, poolWidth, stride, pad } = params;
        const x = multiples(xShape), [, C] = xShape;
        const w = full([C, 1, poolHeight, poolWidth], 1);
        const conv = convForward<Tensor["data"], null>(x, w, null, { stride, pad, groups: C });
        const dout = multiples(conv.out.shape), size = poolHeight * poolWidth;
        const { dx } = convBackward(dout, conv.cache);
        for (const [forward, backward] of implementations) {
          const { out, cache } = forward(x, { ...params, ceilMode: false, countIncludePad: true });
          assertEquals(out.shape, conv.out.shape);
          assertEquals([...out.data], [...conv.out.data].map((sum) => sum / size));
          assertEquals([...backward(dout, cache).data], [...dx.data].map((sum) => sum / size));
        }
      }),
      runs,
    );
  });

  it("share out the whole gradient where padding does not count", () => {
    fc.assert(
      fc.property(anyAveragePool, ({ xShape, params }) => {
        for (const [forward, backward] of implementations) {
          const { out, cache } = forward(multiples(xShape), { ...params, countIncludePad: false });
          const dout = multiples(out.shape);
          const total = (x: Tensor) => [...x.data].reduce((a, b) => a + b, 0);
          assertEquals(total(backward(dout, cache)), total(dout));
        }
      }),
      runs,
    );
  });

  for (const kernels of tiers) {
    for (const dtype of ["float32", "float64"] as const) {
      it(`count padding, but never what hangs over it, ${kernels} kernels, ${dtype}`, () => {
        using _ = useKernels(kernels);
        const x = full([1, 2, 3, 3], 12, dtype), padding = { pad: 1, ceilMode: true };
        const params = { poolHeight: 2, poolWidth: 2, stride: 2, ...padding };
        // Windows at -1 and 1 along each axis: of 4 numbers, the first row and column in the padding.
        assertEquals([...averagePoolForward(x, params).out.data], [3, 6, 6, 12, 3, 6, 6, 12]);
        // Windows at -1 and 2: the last reaches two beyond x, one of them beyond the padding.
        const wide = { poolHeight: 3, poolWidth: 3, stride: 3, ...padding };
        const { out, cache } = averagePoolForward(x, wide);
        const counted = [4 * 12 / 9, 2 * 12 / 6, 2 * 12 / 6, 12 / 4];
        const expected = Float64Array.from([...counted, ...counted]);
        assertEquals(out.data, dtype === "float32" ? Float32Array.from(expected) : expected);
        const dx = averagePoolBackward(full(out.shape, 36, dtype), cache);
        const row = [4, 4, 6], last = [6, 6, 9];
        assertEquals([...dx.data], [...row, ...row, ...last, ...row, ...row, ...last]);
        const real = averagePoolForward(x, { ...wide, countIncludePad: false });
        assertEquals([...real.out.data], Array(8).fill(12));
      });
    }
  }

  const cases: Readonly<Record<string, AveragePoolParams>> = {
    "plain": { poolHeight: 2, poolWidth: 2, stride: 2 },
    "overlapping, padded": { poolHeight: 3, poolWidth: 3, stride: 2, pad: [1, 0, 2, 1] },
    "ceil mode, padding not counted": {
      poolHeight: 3,
      poolWidth: 2,
      stride: [2, 3],
      pad: 1,
      ceilMode: true,
      countIncludePad: false,
    },
    "same": { poolHeight: 3, poolWidth: 3, stride: 2, pad: "same" },
  };
  for (const kernels of tiers) {
    for (const [name, params] of Object.entries(cases)) {
      it(`have gradients that agree with central differences: ${name}, ${kernels} kernels`, () => {
        using _ = useKernels(kernels);
        const random = new RandomState(231), x = random.randn([2, 3, 7, 8]);
        const { out, cache } = averagePoolForward(x, params);
        const dout = random.randn(out.shape);
        const dx = averagePoolBackward(dout, cache);
        assertGradients(() => averagePoolForward(x, params).out, dout, { dx: [x, dx, 1e-7] });
      });
    }
  }

  it("of whole planes are global averages", () => {
    const x = wholes([2, 3, 4, 4]);
    const { out } = averagePoolForward(x, { poolHeight: 4, poolWidth: 4, stride: 1 });
    assertEquals(out.data, globalAverageForward(x).out.data);
  });

  it("keep copies of their parameters, and of the input's shape", () => {
    const stride: [number, number] = [2, 2], shape = [1, 2, 5, 6];
    const x = tensor(linspace(0, 1, shape).data, shape);
    const poolParam = { poolHeight: 3, poolWidth: 3, stride, pad: 1, countIncludePad: false };
    const { out, cache } = averagePoolForward({ data: x.data, shape }, poolParam);
    const before = averagePoolBackward(out, cache);
    stride.fill(1);
    shape.reverse();
    poolParam.countIncludePad = true;
    assertSameBits(averagePoolBackward(out, cache), before);
  });

  it("serve an empty batch", () => {
    const x = tensor(new Float32Array(0), [0, 2, 4, 4]);
    const { out, cache } = averagePoolForward(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
    assertEquals(out, tensor(new Float32Array(0), [0, 2, 2, 2]));
    assertEquals(averagePoolBackward(out, cache), x);
  });

  it("say which kernel runs", () => {
    using _ = useKernels("naive");
    const { name } = explainAveragePool([1, 6, 28, 28], { poolHeight: 2, poolWidth: 2, stride: 2 });
    assertEquals(name, "averagepool-naive");
  });
});
