import { describe, it } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  convBackward,
  convForward,
  type ConvParams,
  convTransposeBackward,
  convTransposeBackwardNaive,
  type ConvTransposeCache,
  convTransposeForward,
  convTransposeForwardNaive,
  type ConvTransposeParams,
  explainConvTranspose,
  type KernelChoice,
  linspace,
  RandomState,
  type Tensor,
  tensor,
  useKernels,
} from "../../../mod.ts";
import { assertGradients } from "../../support/gradients.ts";
import { SEED } from "../../support/kernels.ts";
import { assertSameBits } from "../../support/bits.ts";
import {
  anyConv,
  anyConvTranspose,
  sizeOf,
  type WeightedCase,
  wholes,
} from "../../support/geometries.ts";

const tiers: readonly KernelChoice[] = ["auto", "generated", "naive"];
const random = new RandomState(231);
const runs = { numRuns: 200, seed: SEED };

/** The sum of the products of two tensors' numbers. */
function dot(a: Tensor, b: Tensor): number {
  assertEquals(a.shape, b.shape);
  let sum = 0;
  for (const [i, value] of a.data.entries()) sum += value * b.data[i];
  return sum;
}

/** The parameters of the transposed convolution that leads back to a convolution's input. */
function backTo(
  [, , H, W]: readonly number[],
  [, , OH, OW]: readonly number[],
  [, , KH, KW]: readonly number[],
  { stride, pad, dilation, groups }: ConvParams,
): ConvTransposeParams {
  const [sy, sx] = stride as readonly number[], [dy, dx] = dilation as readonly number[];
  const [top, left, bottom, right] = pad as readonly number[];
  const rows = (OH - 1) * sy + dy * (KH - 1) + 1 - top - bottom;
  const columns = (OW - 1) * sx + dx * (KW - 1) + 1 - left - right;
  return { stride, pad, dilation, groups, outputPad: [H - rows, W - columns] };
}

/** A transposed convolution by adding up products, each where it belongs. */
function reference(c: WeightedCase<ConvTransposeParams>, x: Tensor, w: Tensor, b: Tensor): Tensor {
  const { xShape: [N, C, H, W], wShape: [, FG, KH, KW], params } = c;
  const { groups = 1 } = params;
  const [sy, sx] = params.stride as readonly number[];
  const [dy, dx] = params.dilation as readonly number[];
  const [oy, ox] = params.outputPad as readonly number[];
  const extents = [dy * (KH - 1) + 1, dx * (KW - 1) + 1];
  const F = FG * groups;
  const full = [(H - 1) * sy + extents[0], (W - 1) * sx + extents[1]];
  const same = params.pad === "same";
  const cut = (axis: number, stride: number) => Math.max(0, extents[axis] - stride);
  const [top, left, bottom, right] = same
    ? [cut(0, sy) >> 1, cut(1, sx) >> 1, -1, -1]
    : params.pad === "valid"
    ? [0, 0, 0, 0]
    : params.pad as readonly number[];
  const OH = same ? H * sy : full[0] - top - bottom + oy;
  const OW = same ? W * sx : full[1] - left - right + ox;
  const out = new Float64Array(N * F * OH * OW);
  for (let i = 0; i < out.length; i++) out[i] = b.data[Math.floor(i / (OH * OW)) % F];
  for (let i = 0; i < x.data.length; i++) {
    const xx = i % W, y = Math.floor(i / W) % H;
    const ch = Math.floor(i / (W * H)) % C, n = Math.floor(i / (W * H * C));
    const group = Math.floor(ch / (C / groups));
    for (let k = 0; k < FG * KH * KW; k++) {
      const kx = k % KW, ky = Math.floor(k / KW) % KH, f = Math.floor(k / (KW * KH));
      const row = y * sy + ky * dy - top, column = xx * sx + kx * dx - left;
      if (row < 0 || row >= OH || column < 0 || column >= OW) continue;
      out[((n * F + group * FG + f) * OH + row) * OW + column] += x.data[i] *
        w.data[ch * FG * KH * KW + k];
    }
  }
  return tensor(out, [N, F, OH, OW]);
}

describe("Transposed convolutions", () => {
  it("add up products where they belong", () => {
    fc.assert(
      fc.property(anyConvTranspose, (c) => {
        const x = wholes(c.xShape), w = wholes(c.wShape), b = wholes([c.biases]);
        const expected = reference(c, x, w, b);
        assertEquals(convTransposeForwardNaive(x, w, b, c.params).out, expected);
        assertEquals(convTransposeForward(x, w, b, c.params).out, expected);
      }),
      runs,
    );
  });

  it("have more rows and columns at the bottom and right with outputPad", () => {
    const x = linspace(1, 4, [1, 1, 2, 2]), w = linspace(1, 9, [1, 1, 3, 3]);
    const { out } = convTransposeForward(x, w, null, { stride: 2, pad: 1, outputPad: 1 });
    assertEquals(out.shape, [1, 1, 4, 4]);
    // deno-fmt-ignore
    assertEquals([...out.data], [
      5, 14, 10, 12,
      14, 36, 24, 30,
      15, 34, 20, 24,
      24, 55, 32, 36,
    ]);
  });

  it("are the adjoints of convolutions: <dout, conv(x)> = <transposed(dout), x>, exactly", () => {
    fc.assert(
      fc.property(anyConv, (c) => {
        const x = wholes(c.xShape), w = wholes(c.wShape);
        const { out, cache } = convForward(x, w, null, c.params);
        const dout = wholes(out.shape);
        const back = backTo(c.xShape, out.shape, c.wShape, cache.convParam);
        const transposed = convTransposeForward(dout, w, null, back);
        assertEquals(dot(dout, out), dot(transposed.out, x));
        assertEquals(transposed.out, convBackward(dout, cache).dx);
        // And the other way round: the gradients of one are those of the other.
        const gradients = convTransposeBackward(x, transposed.cache);
        assertEquals(gradients.dx, out);
        assertEquals(gradients.dw, convBackward(dout, cache).dw);
      }),
      runs,
    );
  });

  const cases: Readonly<Record<string, WeightedCase<ConvTransposeParams>>> = {
    "stride 2": {
      xShape: [2, 3, 4, 3],
      wShape: [3, 2, 4, 4],
      biases: 2,
      params: { stride: 2, pad: 1 },
    },
    "outputPad": {
      xShape: [1, 2, 3, 4],
      wShape: [2, 3, 3, 3],
      biases: 3,
      params: { stride: [3, 2], pad: [1, 0, 2, 1], outputPad: [2, 1] },
    },
    "groups and dilation": {
      xShape: [2, 4, 3, 4],
      wShape: [4, 3, 3, 2],
      biases: 6,
      params: { groups: 2, dilation: [2, 3], stride: 2, pad: "same" },
    },
    "depthwise": {
      xShape: [2, 3, 4, 4],
      wShape: [3, 1, 2, 2],
      biases: 3,
      params: { groups: 3, stride: 2 },
    },
  };
  for (const kernels of tiers) {
    for (const [name, { xShape, wShape, biases, params }] of Object.entries(cases)) {
      it(`have gradients that agree with central differences: ${name}, ${kernels} kernels`, () => {
        using _ = useKernels(kernels);
        const x = random.randn(xShape), w = random.randn(wShape), b = random.randn([biases]);
        const forward = () => convTransposeForward(x, w, b, params).out;
        const { out, cache } = convTransposeForward(x, w, b, params);
        const dout = random.randn(out.shape);
        const { dx, dw, db } = convTransposeBackward(dout, cache);
        assertGradients(forward, dout, { dx: [x, dx, 1e-7], dw: [w, dw, 1e-7], db: [b, db, 1e-7] });
      });
    }
  }

  it("without biases have a db of null, and leave out dx when told to", () => {
    const x = random.randn([1, 2, 3, 3]), w = random.randn([2, 2, 2, 2]);
    for (
      const [forward, backward] of [
        [convTransposeForward, convTransposeBackward],
        [convTransposeForwardNaive, convTransposeBackwardNaive],
      ] as const
    ) {
      const { out, cache } = forward(x, w, null, { stride: 2 });
      const same: ConvTransposeCache<Float64Array, null> = cache;
      const nothing: null = backward(out, same).db;
      assertEquals(nothing, null);
      assertEquals(Object.keys(backward(out, cache, { dx: false })), ["dw", "db"]);
    }
  });

  it("serve an empty batch", () => {
    const x = tensor(new Float64Array(0), [0, 2, 3, 3]);
    const { out, cache } = convTransposeForward(x, random.randn([2, 3, 2, 2]), null, { stride: 2 });
    assertEquals(out.shape, [0, 3, 6, 6]);
    const { dx, dw } = convTransposeBackward(out, cache);
    assertEquals(dx.shape, x.shape);
    assertEquals([...dw.data], Array(sizeOf(dw.shape)).fill(0));
  });

  it("keep copies of their parameters", () => {
    const stride: [number, number] = [2, 2], outputPad: [number, number] = [1, 1];
    const x = random.randn([1, 2, 3, 3]), w = random.randn([2, 2, 3, 3]);
    const { out, cache } = convTransposeForward(x, w, null, { stride, pad: 1, outputPad });
    const before = convTransposeBackward(out, cache);
    stride.fill(1);
    outputPad.fill(0);
    assertSameBits(convTransposeBackward(out, cache), before);
    assertEquals(cache.convParam, {
      stride: [2, 2],
      pad: [1, 1, 1, 1],
      dilation: [1, 1],
      groups: 1,
      outputPad: [1, 1],
    });
  });

  it("say which kernel runs: that of the convolution whose gradient they are", () => {
    const xShape = [1, 3, 4, 4], wShape = [3, 2, 4, 4], params = { stride: 2, pad: 1 };
    using _ = useKernels("naive");
    assertEquals(explainConvTranspose(xShape, wShape, params), {
      name: "conv-naive",
      tier: "naive",
      reason: "naive: the generic loops serve every shape",
    });
  });
});
