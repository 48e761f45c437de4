import { describe, it } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  explainMaxPool,
  type KernelChoice,
  linspace,
  maxPoolBackward,
  maxPoolBackwardNaive,
  maxPoolForward,
  maxPoolForwardNaive,
  type PoolParams,
  RandomState,
  type Tensor,
  tensor,
  useKernels,
} from "../../../mod.ts";
import { assertGradients } from "../../support/gradients.ts";
import { SEED } from "../../support/kernels.ts";
import { assertSameBits } from "../../support/bits.ts";
import { anyMaxPool, type PoolCase, samePads, sizeOf, wholes } from "../../support/geometries.ts";

const tiers: readonly KernelChoice[] = ["auto", "generated", "naive"];

/** Starts of the windows along an axis, by counting. */
function starts(
  size: number,
  [before, after]: readonly number[],
  extent: number,
  stride: number,
  ceilMode: boolean,
): number[] {
  const found = [];
  for (let start = -before; start + extent <= size + after; start += stride) found.push(start);
  const next = -before + found.length * stride;
  // The last window reaches the end of the padded input, or one more may hang over it.
  const reached = found[found.length - 1] + extent === size + after;
  return ceilMode && !reached && next < size ? [...found, next] : found;
}

/** A max-pool and its gradient, with each window as a list of places in x. */
function reference({ xShape: [N, C, H, W], params }: PoolCase<PoolParams>, x: Tensor) {
  const { poolHeight, poolWidth, ceilMode = false, pad } = params;
  const [sy, sx] = params.stride as readonly number[];
  const [dy, dx] = params.dilation as readonly number[];
  const extents = [dy * (poolHeight - 1) + 1, dx * (poolWidth - 1) + 1];
  const [rows, columns] = typeof pad === "object"
    ? [[pad[0], pad[2]!], [pad[1], pad[3]!]]
    : pad === "same"
    ? [samePads(H, extents[0], sy), samePads(W, extents[1], sx)]
    : [[0, 0], [0, 0]];
  const ys = starts(H, rows, extents[0], sy, ceilMode);
  const xs = starts(W, columns, extents[1], sx, ceilMode);
  const winners: number[] = [];
  for (let plane = 0; plane < N * C; plane++) {
    for (const top of ys) {
      for (const left of xs) {
        const places = [];
        for (let y = top; y < top + extents[0]; y += dy) {
          for (let column = left; column < left + extents[1]; column += dx) {
            const inside = y >= 0 && y < H && column >= 0 && column < W;
            if (inside) places.push((plane * H + y) * W + column);
          }
        }
        const largest = Math.max(...places.map((at) => x.data[at]));
        winners.push(places.find((at) => x.data[at] === largest)!);
      }
    }
  }
  return { shape: [N, C, ys.length, xs.length], winners };
}

describe("Max-pools with dilation and ceil mode", () => {
  it("take the first largest value of each window", () => {
    fc.assert(
      fc.property(anyMaxPool, (c) => {
        const x = wholes(c.xShape);
        const { shape, winners } = reference(c, x);
        for (
          const [forward, backward] of [
            [maxPoolForward, maxPoolBackward],
            [maxPoolForwardNaive, maxPoolBackwardNaive],
          ] as const
        ) {
          const { out, cache } = forward(x, c.params);
          assertEquals(out.shape, shape);
          assertEquals([...out.data], winners.map((at) => x.data[at]));
          const dout = wholes(shape), dx = new Float64Array(sizeOf(c.xShape));
          for (const [i, at] of winners.entries()) dx[at] += dout.data[i];
          assertEquals(backward(dout, cache), tensor(dx, c.xShape));
        }
      }),
      { numRuns: 300, seed: SEED },
    );
  });

  const cases: Readonly<Record<string, PoolParams>> = {
    "dilated": { poolHeight: 2, poolWidth: 3, stride: [1, 2], dilation: [3, 2], pad: [1, 0] },
    "ceil mode": { poolHeight: 3, poolWidth: 2, stride: 2, pad: [0, 1, 1, 0], ceilMode: true },
    "both, with padding as same": {
      poolHeight: 2,
      poolWidth: 2,
      stride: 3,
      dilation: 2,
      ceilMode: true,
      pad: "same",
    },
  };
  for (const kernels of tiers) {
    for (const [name, params] of Object.entries(cases)) {
      it(`have gradients that agree with central differences: ${name}, ${kernels} kernels`, () => {
        using _ = useKernels(kernels);
        // Numbers far enough apart for a step to change no winner.
        const random = new RandomState(231), shape = [2, 2, 8, 7];
        const x = tensor(Float64Array.from(random.permutation(sizeOf(shape))), shape);
        const { out, cache } = maxPoolForward(x, params);
        const dout = random.randn(out.shape);
        const dx = maxPoolBackward(dout, cache);
        assertGradients(() => maxPoolForward(x, params).out, dout, { dx: [x, dx, 1e-7] });
      });
    }
  }

  for (const kernels of tiers) {
    for (const dtype of ["float32", "float64"] as const) {
      it(`let windows hang over the padding, ${kernels} kernels, ${dtype}`, () => {
        using _ = useKernels(kernels);
        const x = linspace(-18, -1, [1, 2, 3, 3], dtype);
        const params = {
          poolHeight: 3,
          poolWidth: 3,
          stride: [2, 1],
          pad: [0, 2, 1, 0],
          ceilMode: true,
        } as const;
        // Gradients of the first round lie in the memory of the second.
        for (let round = 0; round < 2; round++) {
          const { out, cache } = maxPoolForward(x, params);
          assertEquals([...out.data], [-12, -11, -10, -12, -11, -10, -3, -2, -1, -3, -2, -1]);
          const dout = tensor(out.data.map((value) => -value), out.shape);
          const dx = [...Array(6).fill(0), 24, 22, 20, ...Array(6).fill(0), 6, 4, 2];
          assertEquals([...maxPoolBackward(dout, cache).data], dx);
        }
      });
    }
  }

  it("have no window that would start in the bottom or right padding", () => {
    const x = linspace(1, 25, [1, 1, 5, 5]);
    // By rounding up there would be three: 1 + ceil((5 + 1 - 2) / 3).
    const { out } = maxPoolForward(x, {
      poolHeight: 2,
      poolWidth: 2,
      stride: 3,
      pad: [0, 0, 1, 1],
      ceilMode: true,
    });
    assertEquals(out, tensor(Float64Array.of(7, 10, 22, 25), [1, 1, 2, 2]));
  });

  it("keep copies of their parameters", () => {
    const dilation: [number, number] = [2, 2];
    const x = wholes([1, 2, 6, 6]);
    const poolParam = { poolHeight: 2, poolWidth: 2, stride: 2, dilation, ceilMode: true };
    const { out, cache } = maxPoolForward(x, poolParam);
    const before = maxPoolBackward(out, cache);
    dilation.fill(1);
    poolParam.ceilMode = false;
    assertSameBits(maxPoolBackward(out, cache), before);
  });

  it("say which kernel runs", () => {
    using _ = useKernels("naive");
    const { name } = explainMaxPool([1, 1, 9, 9], {
      poolHeight: 2,
      poolWidth: 2,
      stride: 2,
      dilation: 2,
    });
    assertEquals(name, "maxpool-naive");
  });
});
