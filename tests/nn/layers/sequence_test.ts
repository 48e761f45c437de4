import { describe, it } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  averagePool1dBackward,
  averagePool1dForward,
  type AveragePool1dParams,
  averagePoolBackwardNaive,
  averagePoolForwardNaive,
  conv1dBackward,
  conv1dForward,
  type Conv1dParams,
  convBackwardNaive,
  convForwardNaive,
  type KernelChoice,
  maxPool1dBackward,
  maxPool1dForward,
  type MaxPool1dParams,
  maxPoolBackwardNaive,
  maxPoolForwardNaive,
  type Pad,
  RandomState,
  type Tensor,
  useKernels,
} from "../../../mod.ts";
import { assertGradients } from "../../support/gradients.ts";
import { SEED } from "../../support/kernels.ts";
import { assertSameBits } from "../../support/bits.ts";
import {
  anyAveragePool,
  anyConv,
  anyMaxPool,
  type PoolCase,
  wholes,
} from "../../support/geometries.ts";

const tiers: readonly KernelChoice[] = ["auto", "generated", "naive"];
const runs = { numRuns: 200, seed: SEED };

// The 1-d layers run as images of one row. Here they are compared with images of one column.

/** A sequence, or 1-d filters, as an image of one column. */
const column = ({ data, shape: [N, C, L] }: Tensor): Tensor => ({ data, shape: [N, C, L, 1] });
/** An image of one column as a sequence. */
const sequence = ({ data, shape: [N, C, L] }: Tensor): Tensor => ({ data, shape: [N, C, L] });

/** The columns of an image's padding, for a sequence; the rows of a column's, for an image. */
function padsOf(pad: Pad | undefined) {
  if (typeof pad !== "object") return { pad1d: pad, pad2d: pad };
  const [, left, , right] = pad as readonly [number, number, number, number];
  return { pad1d: [left, right] as const, pad2d: [left, 0, right, 0] as const };
}

const across = (value: unknown) => (value as readonly [number, number])[1];

/** A pool of images' parameters for a sequence and for a column. */
function poolsOf(
  { params }: PoolCase<
    { readonly poolWidth: number; readonly stride: unknown; readonly pad?: Pad }
  >,
) {
  const { pad1d, pad2d } = padsOf(params.pad), stride = across(params.stride);
  return [
    { poolSize: params.poolWidth, stride, pad: pad1d },
    { poolHeight: params.poolWidth, poolWidth: 1, stride: [stride, 1], pad: pad2d },
  ] as const;
}

describe("1-d layers are equal to those of images of one column:", () => {
  it("convolutions", () => {
    fc.assert(
      fc.property(anyConv, ({ xShape: [N, C, , L], wShape: [F, CG, , K], biases, params }) => {
        const x = wholes([N, C, L]), w = wholes([F, CG, K]), b = wholes([biases]);
        const { pad1d, pad2d } = padsOf(params.pad), { groups } = params;
        const stride = across(params.stride), dilation = across(params.dilation);
        const { out, cache } = conv1dForward(x, w, b, { stride, pad: pad1d, dilation, groups });
        const expected = convForwardNaive(column(x), column(w), b, {
          stride: [stride, 1],
          pad: pad2d,
          dilation: [dilation, 1],
          groups,
        });
        assertEquals(out, sequence(expected.out));
        const dout = wholes(out.shape);
        const { dx, dw, db } = convBackwardNaive(column(dout), expected.cache);
        const gradients = { dx: sequence(dx), dw: sequence(dw), db };
        assertEquals(conv1dBackward(dout, cache), gradients);
        const { dx: _, ...rest } = gradients;
        assertEquals(conv1dBackward(dout, cache, { dx: false }), rest);
      }),
      runs,
    );
  });

  it("max-pools", () => {
    fc.assert(
      fc.property(anyMaxPool, (c) => {
        const [N, C, , L] = c.xShape, x = wholes([N, C, L]);
        const { ceilMode } = c.params, dilation = across(c.params.dilation);
        const [ours, columns] = poolsOf(c);
        const { out, cache } = maxPool1dForward(x, { ...ours, dilation, ceilMode });
        const params = { ...columns, dilation: [dilation, 1], ceilMode } as const;
        const expected = maxPoolForwardNaive(column(x), params);
        assertEquals(out, sequence(expected.out));
        const dout = wholes(out.shape), dx = maxPoolBackwardNaive(column(dout), expected.cache);
        assertEquals(maxPool1dBackward(dout, cache), sequence(dx));
      }),
      runs,
    );
  });

  it("average pools", () => {
    fc.assert(
      fc.property(anyAveragePool, (c) => {
        const [N, C, , L] = c.xShape;
        const times = ({ data, shape }: Tensor) => ({ data: data.map((v) => 12 * v), shape });
        const x = times(wholes([N, C, L]));
        const { ceilMode, countIncludePad } = c.params;
        const [ours, columns] = poolsOf(c);
        const { out, cache } = averagePool1dForward(x, { ...ours, ceilMode, countIncludePad });
        const params = { ...columns, ceilMode, countIncludePad };
        const expected = averagePoolForwardNaive(column(x), params);
        assertEquals(out, sequence(expected.out));
        const dout = times(wholes(out.shape));
        const dx = averagePoolBackwardNaive(column(dout), expected.cache);
        assertEquals(averagePool1dBackward(dout, cache), sequence(dx));
      }),
      runs,
    );
  });
});

describe("1-d layers have gradients that agree with central differences:", () => {
  const random = new RandomState(231);
  const convs: Readonly<Record<string, Conv1dParams>> = {
    "plain": {},
    "causal, dilated": { dilation: 2, pad: [4, 0] },
    "grouped, with a stride": { groups: 2, stride: 2, pad: "same" },
  };
  const maxPools: readonly MaxPool1dParams[] = [
    { poolSize: 2, stride: 2 },
    { poolSize: 3, stride: 2, pad: 1, dilation: 2, ceilMode: true },
  ];
  const averagePools: readonly AveragePool1dParams[] = [
    { poolSize: 2, stride: 2, pad: "valid" },
    { poolSize: 3, stride: 2, pad: [1, 2], ceilMode: true, countIncludePad: false },
  ];
  for (const kernels of tiers) {
    for (const [name, params] of Object.entries(convs)) {
      it(`convolutions, ${name}, ${kernels} kernels`, () => {
        using _ = useKernels(kernels);
        const { groups = 1 } = params;
        const x = random.randn([2, 4, 9]), w = random.randn([6, 4 / groups, 3]);
        const b = random.randn([6]);
        const { out, cache } = conv1dForward(x, w, b, params);
        const dout = random.randn(out.shape);
        const { dx, dw, db } = conv1dBackward(dout, cache);
        const forward = () => conv1dForward(x, w, b, params).out;
        assertGradients(forward, dout, { dx: [x, dx, 1e-7], dw: [w, dw, 1e-7], db: [b, db, 1e-7] });
      });
    }
    it(`pools, ${kernels} kernels`, () => {
      using _ = useKernels(kernels);
      for (const params of maxPools) {
        const x = random.randn([2, 3, 9]);
        const { out, cache } = maxPool1dForward(x, params), dout = random.randn(out.shape);
        const dx = maxPool1dBackward(dout, cache);
        assertGradients(() => maxPool1dForward(x, params).out, dout, { dx: [x, dx, 1e-7] });
      }
      for (const params of averagePools) {
        const x = random.randn([2, 3, 9]);
        const { out, cache } = averagePool1dForward(x, params), dout = random.randn(out.shape);
        const dx = averagePool1dBackward(dout, cache);
        assertGradients(() => averagePool1dForward(x, params).out, dout, { dx: [x, dx, 1e-7] });
      }
    });
  }
});

describe("1-d layers", () => {
  it("keep copies of their parameters, written out", () => {
    const pad: [number, number] = [2, 0], x = wholes([1, 2, 8]), w = wholes([2, 2, 3]);
    const conv = conv1dForward<Tensor["data"], null>(x, w, null, { pad });
    const max = maxPool1dForward(x, { poolSize: 3, stride: 2, pad });
    const average = averagePool1dForward(x, { poolSize: 3, stride: 2, pad });
    const backward = () => [
      conv1dBackward(conv.out, conv.cache),
      maxPool1dBackward(max.out, max.cache),
      averagePool1dBackward(average.out, average.cache),
    ];
    const before = backward();
    pad.reverse();
    assertSameBits(backward(), before);
    const pool = { poolSize: 3, stride: 2, pad: [2, 0], ceilMode: false };
    assertEquals(conv.cache.convParam, { stride: 1, pad: [2, 0], dilation: 1, groups: 1 });
    assertEquals(max.cache.poolParam, { ...pool, dilation: 1 });
    assertEquals(average.cache.poolParam, { ...pool, countIncludePad: true });
  });

  it("without biases have a db of null", () => {
    const { out, cache } = conv1dForward(
      new RandomState(1).randn([1, 1, 5]),
      new RandomState(2).randn([1, 1, 3]),
      null,
      {},
    );
    const nothing: null = conv1dBackward(out, cache).db;
    assertEquals(nothing, null);
  });
});
