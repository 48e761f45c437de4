import { describe, it } from "@std/testing/bdd";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  AssertionError,
  assertThrows,
} from "@std/assert";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { generatedConvs, generatedPools } from "../../../kernels/generated/kernels/index.ts";
import { convLabel, convShape, familyLabel } from "../../../kernels/shape.ts";
import {
  convBackward,
  convBackwardNaive,
  convForward,
  convForwardNaive,
  ConvNet,
  type ConvParams,
  dropoutForward,
  type DType,
  explainConv,
  type FloatArray,
  globalAverageForward,
  type KernelChoice,
  linspace,
  maxPoolBackward,
  maxPoolBackwardNaive,
  maxPoolForward,
  maxPoolForwardNaive,
  type PoolParams,
  RandomState,
  registerKernels,
  relError,
  reluBackward,
  reluForward,
  type Tensor,
  tensor,
  useKernels,
  zeros,
} from "../../../mod.ts";
import { assertGradients, assertSums } from "../../support/gradients.ts";

interface Layers {
  readonly convForward: typeof convForward;
  readonly convBackward: typeof convBackward;
  readonly maxPoolForward: typeof maxPoolForward;
  readonly maxPoolBackward: typeof maxPoolBackward;
}

/** The layers under test: the definition, and the fast path with each choice of kernels. */
const implementations: readonly {
  readonly name: string;
  readonly kernels: KernelChoice;
  readonly layers: Layers;
}[] = [
  {
    name: "the naive layers",
    kernels: "auto",
    layers: {
      convForward: convForwardNaive,
      convBackward: convBackwardNaive,
      maxPoolForward: maxPoolForwardNaive,
      maxPoolBackward: maxPoolBackwardNaive,
    },
  },
  ...(["auto", "generated", "naive"] as const).map((kernels) => ({
    name: `the fast layers with ${kernels} kernels`,
    kernels,
    layers: { convForward, convBackward, maxPoolForward, maxPoolBackward },
  })),
];

const dtypes = ["float64", "float32"] as const;

/** Any typed array of a dtype's numbers, made of float64 ones. */
const as = (dtype: DType, { data, shape }: Tensor): Tensor =>
  tensor(dtype === "float32" ? Float32Array.from(data) : Float64Array.from(data), shape);

/** Whole numbers from -4 to 4: sums of their products have no rounding, in either dtype. */
const integers = (random: RandomState, shape: readonly number[], dtype: DType): Tensor =>
  as(dtype, tensor(Float64Array.from(random.randint(-4, 5, sizeOf(shape))), shape));

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** Checks that numbers are equal, a NaN to a NaN, and names the first that is not. */
function assertSame({ data }: Tensor, expected: ArrayLike<number>, what: string): void {
  assertEquals(data.length, expected.length, what);
  for (let i = 0; i < data.length; i++) {
    const same = data[i] === expected[i] || Number.isNaN(data[i]) && Number.isNaN(expected[i]);
    if (!same) throw new AssertionError(`${what}[${i}] is ${data[i]}, not ${expected[i]}`);
  }
}

/** [top, left, bottom, right] and [vertical, horizontal] of any way to write them. */
function walk({ pad = 0, stride = 1 }: Pick<ConvParams, "pad" | "stride">) {
  if (typeof pad === "string") throw new AssertionError("a case has its padding in numbers");
  const [top, left, bottom = top, right = left] = typeof pad === "number" ? [pad, pad] : pad;
  const [down, across] = typeof stride === "number" ? [stride, stride] : stride;
  return { top, left, bottom, right, down, across };
}

/** How often a window of `size` fits into `length` at a step. */
function positions(length: number, size: number, step: number): number {
  let count = 0;
  while (count * step + size <= length) count++;
  return count;
}

interface ConvCase {
  readonly xShape: readonly [number, number, number, number];
  readonly wShape: readonly [number, number, number, number];
  readonly params: ConvParams;
}

/** The output's shape, by counting. */
function outShape({ xShape: [N, , H, W], wShape: [F, , KH, KW], params }: ConvCase): number[] {
  const { top, left, bottom, right, down, across } = walk(params);
  return [N, F, positions(H + top + bottom, KH, down), positions(W + left + right, KW, across)];
}

/** A convolution and its gradients, one product at a time, on an input that is padded by hand. */
function convReference(c: ConvCase, x: Tensor, w: Tensor, b: Tensor, dout: Tensor) {
  const { xShape: [N, C, H, W], wShape: [F, , KH, KW], params } = c;
  const { top, left, bottom, right, down, across } = walk(params);
  const [, , OH, OW] = outShape(c);
  const padded: number[][][][] = [], dPadded: number[][][][] = [];
  for (let n = 0; n < N; n++) {
    for (const planes of [padded, dPadded]) {
      planes[n] = Array.from(
        { length: C },
        () => Array.from({ length: H + top + bottom }, () => new Array(W + left + right).fill(0)),
      );
    }
    for (let ch = 0; ch < C; ch++) {
      for (let y = 0; y < H; y++) {
        for (let xx = 0; xx < W; xx++) {
          padded[n][ch][y + top][xx + left] = x.data[((n * C + ch) * H + y) * W + xx];
        }
      }
    }
  }
  const out = new Float64Array(N * F * OH * OW), dw = new Float64Array(F * C * KH * KW);
  const db = new Float64Array(F);
  for (let o = 0; o < out.length; o++) {
    const ox = o % OW, oy = Math.floor(o / OW) % OH;
    const f = Math.floor(o / (OW * OH)) % F, n = Math.floor(o / (OW * OH * F));
    out[o] = b.data[f];
    db[f] += dout.data[o];
    for (let tap = 0; tap < C * KH * KW; tap++) {
      const kx = tap % KW, ky = Math.floor(tap / KW) % KH, ch = Math.floor(tap / (KW * KH));
      const y = oy * down + ky, xx = ox * across + kx;
      out[o] += padded[n][ch][y][xx] * w.data[f * C * KH * KW + tap];
      dw[f * C * KH * KW + tap] += padded[n][ch][y][xx] * dout.data[o];
      dPadded[n][ch][y][xx] += w.data[f * C * KH * KW + tap] * dout.data[o];
    }
  }
  const dx = padded.flatMap((_, n) =>
    dPadded[n].flatMap((plane) =>
      plane.slice(top, top + H).flatMap((row) => row.slice(left, left + W))
    )
  );
  return { out, dx: Float64Array.from(dx), dw, db };
}

interface PoolCase {
  readonly xShape: readonly [number, number, number, number];
  readonly params: PoolParams;
}

/** A max-pool and its gradient: each window as a list, its winner by rank. */
function poolReference({ xShape: [N, C, H, W], params }: PoolCase, x: Tensor, dout: Tensor) {
  const { poolHeight, poolWidth } = params;
  const { top, left, bottom, right, down, across } = walk(params);
  const OH = positions(H + top + bottom, poolHeight, down);
  const OW = positions(W + left + right, poolWidth, across);
  const out = new Float64Array(N * C * OH * OW), dx = new Float64Array(x.data.length);
  for (let o = 0; o < out.length; o++) {
    const ox = o % OW, oy = Math.floor(o / OW) % OH, plane = Math.floor(o / (OW * OH));
    const inside: number[] = [];
    for (let tap = 0; tap < poolHeight * poolWidth; tap++) {
      const y = oy * down + Math.floor(tap / poolWidth) - top;
      const xx = ox * across + tap % poolWidth - left;
      if (y >= 0 && y < H && xx >= 0 && xx < W) inside.push((plane * H + y) * W + xx);
    }
    const values = inside.map((at) => x.data[at]);
    const largest = Math.max(...values); // NaN if there is one
    const winner = inside[values.findIndex((v) => v === largest || Number.isNaN(v))];
    out[o] = x.data[winner];
    dx[winner] += dout.data[o];
  }
  return { out, dx, outShape: [N, C, OH, OW] };
}

/** The promised tolerances, relative to the largest value: sums of other orders round differently. */
const TOLERANCE = { float64: 1e-12, float32: 1e-5 } as const;

/** Checks that no number is further off than the tolerance times the largest value. */
function assertClose(
  { data }: Tensor,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  assertEquals(data.length, expected.length, what);
  let largest = 0;
  for (let i = 0; i < data.length; i++) largest = Math.max(largest, Math.abs(expected[i]));
  for (let i = 0; i < data.length; i++) {
    if (!(Math.abs(data[i] - expected[i]) <= tolerance * largest)) {
      throw new AssertionError(`${what}[${i}] is ${data[i]}, not ${expected[i]}`);
    }
  }
}

/** The same tensor in the middle of a larger array. */
function inView<A extends FloatArray>({ data, shape }: Tensor<A>): Tensor<A> {
  const larger = new (data.constructor as new (length: number) => A)(data.length + 5).fill(
    NaN,
  ) as A;
  larger.set(data, 3);
  return tensor(larger.subarray(3, 3 + data.length) as A, shape);
}

/** The same tensor in shared memory. */
function inSharedMemory({ data, shape }: Tensor): Tensor {
  const memory = new SharedArrayBuffer(data.byteLength);
  const shared = data instanceof Float32Array ? new Float32Array(memory) : new Float64Array(memory);
  shared.set(data);
  return tensor(shared, shape);
}

const anySide = fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.nat(2));
const anyStep = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }));
const size = (max: number) => fc.integer({ min: 1, max });

/** Any convolution with few numbers. */
const anyConv: fc.Arbitrary<ConvCase> = fc.record({
  x: fc.tuple(size(3), size(5), size(11), size(13)),
  w: fc.tuple(size(9), size(7), size(7)),
  stride: anyStep,
  pad: anySide,
}).map(({ x: [N, C, H, W], w: [F, KH, KW], stride, pad }) => ({
  xShape: [N, C, H, W],
  wShape: [F, C, Math.min(KH, H + pad[0] + pad[2]), Math.min(KW, W + pad[1] + pad[3])],
  params: { stride, pad },
}));

/** Any max-pool with few numbers; its padding is smaller than its window. */
const anyPool: fc.Arbitrary<PoolCase> = fc.record({
  x: fc.tuple(size(3), size(3), size(11), size(13)),
  window: fc.tuple(size(4), size(4)),
  stride: anyStep,
  pad: anySide,
}).map(({ x: [N, C, H, W], window: [height, width], stride, pad }) => {
  const poolHeight = Math.min(height, H), poolWidth = Math.min(width, W);
  const [top, left, bottom, right] = pad.map((side, i) =>
    Math.min(side, (i % 2 === 0 ? poolHeight : poolWidth) - 1)
  );
  return {
    xShape: [N, C, H, W],
    params: { poolHeight, poolWidth, stride, pad: [top, left, bottom, right] },
  };
});

/** Geometries that an implementation may get wrong, each of its own kind. */
const convCases: readonly ConvCase[] = [
  { xShape: [2, 3, 8, 8], wShape: [4, 3, 3, 3], params: {} },
  { xShape: [2, 3, 7, 9], wShape: [4, 3, 2, 5], params: { stride: 1, pad: 1 } },
  { xShape: [1, 2, 9, 6], wShape: [3, 2, 4, 1], params: { stride: [2, 3], pad: [1, 0] } },
  { xShape: [2, 2, 5, 6], wShape: [2, 2, 3, 3], params: { stride: 2, pad: [0, 1, 2, 3] } },
  { xShape: [2, 1, 6, 5], wShape: [1, 1, 3, 3], params: { stride: [1, 2], pad: [3, 2, 1, 0] } },
  // Kernel as large as the input, and as the padded input.
  { xShape: [3, 2, 4, 5], wShape: [5, 2, 4, 5], params: {} },
  { xShape: [2, 2, 3, 3], wShape: [2, 2, 5, 7], params: { pad: [1, 2] } },
  // Rows and columns that no window reaches; a stride above the kernel.
  { xShape: [2, 3, 8, 8], wShape: [2, 3, 3, 3], params: { stride: 4 } },
  { xShape: [1, 3, 11, 10], wShape: [2, 3, 2, 2], params: { stride: [5, 3] } },
  { xShape: [2, 3, 7, 7], wShape: [5, 3, 1, 1], params: { stride: 3, pad: 1 } },
  // Padding as wide as the kernel: windows that see nothing but zeros.
  { xShape: [1, 2, 4, 4], wShape: [2, 2, 3, 3], params: { pad: 4 } },
  { xShape: [1, 1, 1, 1], wShape: [1, 1, 1, 1], params: {} },
  { xShape: [1, 1, 1, 17], wShape: [9, 1, 1, 3], params: { pad: [0, 1] } },
  { xShape: [1, 9, 19, 2], wShape: [7, 9, 5, 2], params: { stride: 1, pad: [2, 1] } },
  { xShape: [3, 4, 13, 11], wShape: [6, 4, 7, 7], params: { stride: 2, pad: 3 } },
  { xShape: [2, 5, 12, 12], wShape: [8, 5, 5, 5], params: { stride: 1, pad: 2 } },
];

const poolCases: readonly PoolCase[] = [
  { xShape: [2, 3, 8, 8], params: { poolHeight: 2, poolWidth: 2, stride: 2 } },
  { xShape: [2, 3, 7, 9], params: { poolHeight: 2, poolWidth: 2, stride: 2 } },
  { xShape: [2, 2, 7, 7], params: { poolHeight: 3, poolWidth: 3, stride: 2, pad: 1 } },
  { xShape: [1, 2, 6, 9], params: { poolHeight: 2, poolWidth: 4, stride: [1, 3] } },
  { xShape: [2, 1, 5, 6], params: { poolHeight: 3, poolWidth: 2, stride: 1, pad: [2, 1, 0, 1] } },
  { xShape: [1, 3, 9, 9], params: { poolHeight: 2, poolWidth: 2, stride: 4 } },
  { xShape: [2, 2, 4, 5], params: { poolHeight: 4, poolWidth: 5, stride: 1 } },
  { xShape: [2, 2, 3, 1], params: { poolHeight: 1, poolWidth: 1, stride: 1 } },
  { xShape: [1, 2, 2, 2], params: { poolHeight: 3, poolWidth: 3, stride: 3, pad: [1, 1, 0, 0] } },
];

/** Checks a convolution and its gradients against the reference. */
function checkConv(
  { convForward, convBackward }: Layers,
  c: ConvCase,
  x: Tensor,
  w: Tensor,
  b: Tensor,
  dout: Tensor,
  tolerance: number,
): void {
  const { out, cache } = convForward(x, w, b, c.params);
  const results = { out, ...convBackward(dout, cache) };
  const expected = convReference(c, x, w, b, dout);
  const shapes = { out: outShape(c), dx: c.xShape, dw: c.wShape, db: b.shape };
  for (const key of ["out", "dx", "dw", "db"] as const) {
    assertEquals(results[key].shape, shapes[key], key);
    assertEquals(results[key].data.constructor, x.data.constructor, key);
    if (tolerance === 0) assertSame(results[key], expected[key], key);
    else assertClose(results[key], expected[key], tolerance, key);
  }
}

/** Checks a max-pool and its gradient, of whole numbers, against the reference: exactly. */
function checkPool(
  { maxPoolForward, maxPoolBackward }: Layers,
  c: PoolCase,
  x: Tensor,
  random: RandomState,
): void {
  const { out, cache } = maxPoolForward(x, c.params);
  const dtype = x.data instanceof Float32Array ? "float32" : "float64";
  const dout = integers(random, out.shape, dtype);
  const dx = maxPoolBackward(dout, cache);
  const expected = poolReference(c, x, dout);
  assertEquals([out.shape, dx.shape], [expected.outShape, c.xShape]);
  assertEquals([out.data.constructor, dx.data.constructor], Array(2).fill(x.data.constructor));
  assertSame(out, expected.out, "out");
  assertSame(dx, expected.dx, "dx");
}

for (const { name, kernels, layers } of implementations) {
  const { convForward, convBackward, maxPoolForward, maxPoolBackward } = layers;

  /** A test with this implementation's kernels. */
  const test = (title: string, body: () => void) =>
    it(title, () => {
      using _ = useKernels(kernels);
      body();
    });

  describe(`The notebook, with ${name}:`, () => {
    test("convolution forward matches the table", () => {
      const x = linspace(-0.1, 0.5, [2, 3, 4, 4]), w = linspace(-0.2, 0.3, [3, 3, 4, 4]);
      const { out } = convForward(x, w, linspace(-0.1, 0.2, [3]), { stride: 2, pad: 1 });
      assertEquals(out.shape, [2, 3, 2, 2]);
      // deno-fmt-ignore
      const table = [
        -0.08759809, -0.10987781, -0.18387192, -0.2109216,
        0.21027089, 0.21661097, 0.22847626, 0.23004637,
        0.50813986, 0.54309974, 0.64082444, 0.67101435,
        -0.98053589, -1.03143541, -1.19128892, -1.24695841,
        0.69108355, 0.66880383, 0.59480972, 0.56776003,
        2.36270298, 2.36904306, 2.38090835, 2.38247847,
      ];
      assertAlmostEquals(relError(out, table), 2.2121476417505994e-8, 1e-13);
      // deno-fmt-ignore
      const allDigits = [
        -0.08759808612440192, -0.10987780640412217, -0.18387191755612808, -0.2109216047110784,
        0.2102708870077291, 0.216610967979389, 0.22847626058152373, 0.23004637467795364,
        0.5081398601398601, 0.5430997423629003, 0.6408244387191755, 0.6710143540669855,
        -0.9805358851674643, -1.031435406698565, -1.1912889216047111, -1.2469584100110418,
        0.6910835480309164, 0.6688038277511961, 0.5948097165991902, 0.56776002944424,
        2.3627029812292974, 2.369043062200957, 2.3809083548030916, 2.3824784688995213,
      ];
      assert(relError(out, allDigits) < 1e-14);
    });

    test("convolution backward matches the gradients of seed 231", () => {
      const random = new RandomState(231), params = { stride: 1, pad: 1 };
      const x = random.randn([4, 3, 5, 5]), w = random.randn([2, 3, 3, 3]), b = random.randn([2]);
      const dout = random.randn([4, 2, 5, 5]);
      const { out, cache } = convForward(x, w, b, params);
      const { dx, dw, db } = convBackward(dout, cache);
      assertSums(out, 293.682753605255, 3871.3627219957);
      assertSums(dx, -25.2973648503894, 3479.31770044406);
      assertSums(dw, -58.845157914768, 4815.96317320635);
      assert(relError(db, [0.47050388, 1.80007328]) < 1e-8);

      assertGradients(() => convForward(x, w, b, params).out, dout, {
        dx: [x, dx, 2 * 1.159803161159293e-8],
        dw: [w, dw, 2 * 2.2471264748452487e-10],
        db: [b, db, 2 * 3.3726e-11],
      });
    });

    test("max-pool forward matches the table", () => {
      const x = linspace(-0.3, 0.4, [2, 3, 4, 4]);
      const { out } = maxPoolForward(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
      assertEquals(out.shape, [2, 3, 2, 2]);
      // deno-fmt-ignore
      const table = [
        -0.26315789, -0.24842105, -0.20421053, -0.18947368,
        -0.14526316, -0.13052632, -0.08631579, -0.07157895,
        -0.02736842, -0.01263158, 0.03157895, 0.04631579,
        0.09052632, 0.10526316, 0.14947368, 0.16421053,
        0.20842105, 0.22315789, 0.26736842, 0.28210526,
        0.32631579, 0.34105263, 0.38526316, 0.4,
      ];
      assertAlmostEquals(relError(out, table), 4.1666665157267834e-8, 1e-15);
    });

    test("max-pool backward matches the gradients of seed 231", () => {
      const random = new RandomState(231), params = { poolHeight: 2, poolWidth: 2, stride: 2 };
      const x = random.randn([3, 2, 8, 8]), dout = random.randn([3, 2, 4, 4]);
      const { out, cache } = maxPoolForward(x, params);
      const dx = maxPoolBackward(dout, cache);
      assertSums(out, 90.5997807946791, 135.647898128162);
      assertSums(dx, 0.164278867748058, 119.045671708197);
      assertGradients(() => maxPoolForward(x, params).out, dout, {
        dx: [x, dx, 2 * 3.27562514223145e-12],
      });
    });
  });

  describe(`Convolution, with ${name},`, () => {
    for (const c of convCases) {
      test(`follows the definition: ${JSON.stringify(c)}`, () => {
        const random = new RandomState(231), [F] = c.wShape;
        for (const dtype of dtypes) {
          const draw = (shape: readonly number[]) => as(dtype, random.randn(shape));
          checkConv(
            layers,
            c,
            draw(c.xShape),
            draw(c.wShape),
            draw([F]),
            draw(outShape(c)),
            TOLERANCE[dtype],
          );
          const whole = (shape: readonly number[]) => integers(random, shape, dtype);
          checkConv(layers, c, whole(c.xShape), whole(c.wShape), whole([F]), whole(outShape(c)), 0);
        }
      });
    }

    test("follows the definition exactly on whole numbers, whatever the geometry", () => {
      fc.assert(
        fc.property(anyConv, fc.constantFrom(...dtypes), fc.nat(), (c, dtype, seed) => {
          const random = new RandomState(seed), [F] = c.wShape;
          const whole = (shape: readonly number[]) => integers(random, shape, dtype);
          checkConv(layers, c, whole(c.xShape), whole(c.wShape), whole([F]), whole(outShape(c)), 0);
        }),
        { numRuns: 100, seed: 231 },
      );
    });

    test("gives results that later calls do not change, and leaves its inputs alone", () => {
      for (const dtype of dtypes) {
        const random = new RandomState(231), params = { stride: 1, pad: 1 };
        const draw = (shape: readonly number[]) => as(dtype, random.randn(shape));
        const inputs = [draw([2, 3, 6, 6]), draw([4, 3, 3, 3]), draw([4])] as const;
        const keptInputs = structuredClone(inputs);
        const { out, cache } = convForward(...inputs, params);
        const dout = draw(out.shape), keptDout = structuredClone(dout);
        const gradients = convBackward(dout, cache);
        const kept = structuredClone({ out, ...gradients });
        const again = convForward(draw([2, 3, 6, 6]), draw([4, 3, 3, 3]), draw([4]), params);
        convBackward(again.out, again.cache);
        assertEquals({ out, ...gradients }, kept);
        assertEquals([inputs, dout], [keptInputs, keptDout]);
      }
    });

    test("leaves out dx when told to, and computes the same dw and db", () => {
      for (const dtype of dtypes) {
        const random = new RandomState(231);
        const draw = (shape: readonly number[]) => as(dtype, random.randn(shape));
        const x = draw([2, 3, 6, 6]), w = draw([4, 3, 3, 3]);
        const { out, cache } = convForward(x, w, draw([4]), { stride: 1, pad: 1 });
        const { dx, dw, db } = convBackward(out, cache, { dx: true });
        assertEquals(convBackward(out, cache, { dx: false }), { dw, db });
        assertEquals(convBackward(out, cache), { dx, dw, db });
      }
    });

    test("gives empty results and zero gradients for an empty batch", () => {
      for (const dtype of dtypes) {
        const w = as(dtype, linspace(0, 1, [4, 3, 3, 3])), b = as(dtype, linspace(0, 1, [4]));
        const { out, cache } = convForward(zeros([0, 3, 6, 7], dtype), w, b, { pad: 1 });
        assertEquals(out, zeros([0, 4, 6, 7], dtype));
        assertEquals(convBackward(out, cache), {
          dx: zeros([0, 3, 6, 7], dtype),
          dw: zeros([4, 3, 3, 3], dtype),
          db: zeros([4], dtype),
        });
      }
    });

    test("takes views with an offset, and shared memory", () => {
      for (const dtype of dtypes) {
        for (const house of [inView, inSharedMemory]) {
          const random = new RandomState(231), params = { stride: 2, pad: 1 };
          const draw = (shape: readonly number[]) => as(dtype, random.randn(shape));
          const x = draw([2, 3, 7, 7]), w = draw([4, 3, 3, 3]), b = draw([4]);
          const dout = draw([2, 4, 4, 4]);
          const plain = convForward(x, w, b, params);
          const housed = convForward(house(x), house(w), house(b), params);
          assertEquals(housed.out, plain.out);
          assertEquals(convBackward(house(dout), housed.cache), convBackward(dout, plain.cache));
        }
      }
    });
  });

  describe(`Max-pooling, with ${name},`, () => {
    for (const c of poolCases) {
      test(`follows the definition: ${JSON.stringify(c)}`, () => {
        const random = new RandomState(231);
        for (const dtype of dtypes) {
          checkPool(layers, c, as(dtype, random.randn(c.xShape)), random);
          // Many ties: whole numbers from -4 to 4.
          checkPool(layers, c, integers(random, c.xShape, dtype), random);
          // A NaN in every third place, some windows with several.
          const x = as(dtype, random.randn(c.xShape));
          for (let i = 0; i < x.data.length; i++) if (random.randint(3) === 0) x.data[i] = NaN;
          checkPool(layers, c, x, random);
        }
      });
    }

    test("follows the definition whatever the geometry", () => {
      fc.assert(
        fc.property(anyPool, fc.constantFrom(...dtypes), fc.nat(), (c, dtype, seed) => {
          const random = new RandomState(seed);
          checkPool(layers, c, integers(random, c.xShape, dtype), random);
        }),
        { numRuns: 100, seed: 231 },
      );
    });

    test("gives the whole gradient to the first of equal maxima", () => {
      for (const dtype of dtypes) {
        const x = tensor(as(dtype, linspace(5, 5, [16])).data, [1, 1, 4, 4]);
        const { cache } = maxPoolForward(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
        const dx = maxPoolBackward(as(dtype, linspace(1, 4, [1, 1, 2, 2])), cache);
        assertSame(dx, [1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0], "dx");
      }
    });

    test("lets the first NaN of a window win, and get the gradient", () => {
      for (const dtype of dtypes) {
        // deno-fmt-ignore
        const x = tensor(Float64Array.of(
          1, 2, NaN, 9,
          NaN, NaN, NaN, Infinity,
        ), [1, 1, 2, 4]);
        const { out, cache } = maxPoolForward(as(dtype, x), {
          poolHeight: 2,
          poolWidth: 2,
          stride: 2,
        });
        assertSame(out, [NaN, NaN], "out");
        const dx = maxPoolBackward(as(dtype, linspace(3, 4, [1, 1, 1, 2])), cache);
        assertSame(dx, [0, 0, 4, 0, 3, 0, 0, 0], "dx");
      }
    });

    test("takes windows of minus infinity alone, beside padding too", () => {
      for (const dtype of dtypes) {
        const x = tensor(as(dtype, linspace(0, 0, [9])).data.fill(-Infinity), [1, 1, 3, 3]);
        const params = { poolHeight: 2, poolWidth: 2, stride: 2, pad: [1, 1, 0, 0] } as const;
        const { out, cache } = maxPoolForward(x, params);
        assertSame(out, [-Infinity, -Infinity, -Infinity, -Infinity], "out");
        const dx = maxPoolBackward(as(dtype, linspace(1, 4, [1, 1, 2, 2])), cache);
        assertSame(dx, [1, 2, 0, 3, 4, 0, 0, 0, 0], "dx");
      }
    });

    test("takes windows of negative numbers alone", () => {
      for (const dtype of dtypes) {
        const x = as(dtype, linspace(-9, -1, [1, 1, 3, 3]));
        const params = { poolHeight: 3, poolWidth: 3, stride: 2, pad: 1 };
        const { out, cache } = maxPoolForward(x, params);
        assertSame(out, [-5, -4, -2, -1], "out");
        const dx = maxPoolBackward(as(dtype, linspace(1, 4, [1, 1, 2, 2])), cache);
        assertSame(dx, [0, 0, 0, 0, 1, 2, 0, 3, 4], "dx");
      }
    });

    test("adds up the gradients of windows that overlap", () => {
      for (const dtype of dtypes) {
        const x = as(dtype, tensor(Float64Array.of(0, 0, 0, 0, 1, 0, 0, 0, 0), [1, 1, 3, 3]));
        const { out, cache } = maxPoolForward(x, { poolHeight: 2, poolWidth: 2, stride: 1 });
        assertSame(out, [1, 1, 1, 1], "out");
        const dx = maxPoolBackward(as(dtype, linspace(1, 4, [1, 1, 2, 2])), cache);
        assertSame(dx, [0, 0, 0, 0, 10, 0, 0, 0, 0], "dx");
      }
    });

    test("gives results that later calls do not change, and leaves its inputs alone", () => {
      for (const dtype of dtypes) {
        const random = new RandomState(231), params = { poolHeight: 2, poolWidth: 2, stride: 2 };
        const x = as(dtype, random.randn([2, 3, 6, 6])), keptX = structuredClone(x);
        const { out, cache } = maxPoolForward(x, params);
        const dout = as(dtype, random.randn(out.shape)), keptDout = structuredClone(dout);
        const dx = maxPoolBackward(dout, cache);
        const kept = structuredClone({ out, dx });
        const again = maxPoolForward(as(dtype, random.randn([2, 3, 6, 6])), params);
        maxPoolBackward(again.out, again.cache);
        assertEquals({ out, dx }, kept);
        assertEquals({ x, dout }, { x: keptX, dout: keptDout });
      }
    });

    test("gives empty results for an empty batch", () => {
      for (const dtype of dtypes) {
        const x = zeros([0, 3, 6, 6], dtype);
        const { out, cache } = maxPoolForward(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
        assertEquals(out, zeros([0, 3, 3, 3], dtype));
        assertEquals(maxPoolBackward(out, cache), x);
      }
    });

    test("takes views with an offset, and shared memory", () => {
      for (const dtype of dtypes) {
        for (const house of [inView, inSharedMemory]) {
          const random = new RandomState(231), params = { poolHeight: 2, poolWidth: 2, stride: 2 };
          const x = as(dtype, random.randn([2, 3, 7, 6]));
          const dout = as(dtype, random.randn([2, 3, 3, 3]));
          const plain = maxPoolForward(x, params), housed = maxPoolForward(house(x), params);
          assertEquals(housed.out, plain.out);
          assertEquals(
            maxPoolBackward(house(dout), housed.cache),
            maxPoolBackward(dout, plain.cache),
          );
        }
      }
    });
  });
}

describe("The fast layers", () => {
  it("match the naive ones at the notebook's convolution, to 1e-9", () => {
    const random = new RandomState(231), params = { stride: 2, pad: 1 };
    const x = random.randn([100, 3, 31, 31]), w = random.randn([25, 3, 3, 3]);
    const b = random.randn([25]), dout = random.randn([100, 25, 16, 16]);
    const naive = convForwardNaive(x, w, b, params), fast = convForward(x, w, b, params);
    assert(relError(fast.out, naive.out) < 1e-9);
    const expected = convBackwardNaive(dout, naive.cache), found = convBackward(dout, fast.cache);
    assert(relError(found.dx, expected.dx) < 1e-9);
    assert(relError(found.dw, expected.dw) < 1e-9);
    assert(relError(found.db, expected.db) < 1e-9);
  });

  it("match the naive ones at the notebook's max-pool, exactly", () => {
    const random = new RandomState(231), params = { poolHeight: 2, poolWidth: 2, stride: 2 };
    const x = random.randn([100, 3, 32, 32]), dout = random.randn([100, 3, 16, 16]);
    const naive = maxPoolForwardNaive(x, params), fast = maxPoolForward(x, params);
    assertSame(fast.out, naive.out.data, "out");
    assertSame(
      maxPoolBackward(dout, fast.cache),
      maxPoolBackwardNaive(dout, naive.cache).data,
      "dx",
    );
  });

  it("match the naive ones in float32, to 1e-5 of the largest value", () => {
    const random = new RandomState(231), params = { stride: 2, pad: 1 };
    const x = random.randn([10, 3, 31, 31], "float32"), w = random.randn([25, 3, 3, 3], "float32");
    const b = random.randn([25], "float32"), dout = random.randn([10, 25, 16, 16], "float32");
    const naive = convForwardNaive(x, w, b, params), fast = convForward(x, w, b, params);
    assertClose(fast.out, naive.out.data, TOLERANCE.float32, "out");
    const expected = convBackwardNaive(dout, naive.cache), found = convBackward(dout, fast.cache);
    for (const key of ["dx", "dw", "db"] as const) {
      assertClose(found[key], expected[key].data, TOLERANCE.float32, key);
    }
  });
});

describe("Strides in the hundreds", () => {
  const walks = [
    { H: 400, W: 400, K: 3, stride: 400, pad: 0 },
    { H: 1, W: 200_000, K: 1, stride: [1, 150_000], pad: 0 },
    { H: 200_000, W: 1, K: 1, stride: [150_000, 1], pad: 0 },
    { H: 300, W: 300, K: 5, stride: [7, 65], pad: 2 },
    { H: 300, W: 300, K: 5, stride: [65, 7], pad: 2 },
    { H: 200, W: 200, K: 2, stride: 64, pad: 1 },
  ] as const;
  for (const dtype of dtypes) {
    it(`are served, by little code or by none, ${dtype}`, () => {
      let bytes = 0;
      const { Module } = WebAssembly;
      WebAssembly.Module = class extends Module {
        constructor(code: BufferSource) {
          super(code);
          bytes += code.byteLength;
        }
      };
      try {
        const random = new RandomState(7);
        for (const { H, W, K, stride, pad } of walks) {
          const x = integers(random, [1, 2, H, W], dtype), b = integers(random, [3], dtype);
          const w = integers(random, [3, 2, K, K], dtype), walk = { stride, pad };
          const what = `${H}x${W} ${K}x${K} stride ${stride}`;
          bytes = 0;
          const { tier, reason } = explainConv(x.shape, w.shape, walk, dtype);
          const large = Math.max(...[stride].flat()) > 64;
          assertEquals(tier, large ? "naive" : "simd", reason);
          if (large) assert(reason.includes("simd: strides above 64"), reason);
          const { out, cache } = convForward(x, w, b, walk);
          const naive = convForwardNaive(x, w, b, walk);
          assertSame(out, naive.out.data, `${what} out`);
          const { dx, dw, db } = convBackward(out, cache);
          const expected = convBackwardNaive(out, naive.cache);
          assertSame(dx, expected.dx.data, `${what} dx`);
          assertSame(dw, expected.dw.data, `${what} dw`);
          assertSame(db, expected.db.data, `${what} db`);

          const poolParam = { poolHeight: K, poolWidth: K, stride, pad: pad && 1 };
          const pooled = maxPoolForward(x, poolParam), loops = maxPoolForwardNaive(x, poolParam);
          assertSame(pooled.out, loops.out.data, `${what} pool`);
          const dpool = maxPoolBackward(pooled.out, pooled.cache);
          assertSame(dpool, maxPoolBackwardNaive(loops.out, loops.cache).data, `${what} pool dx`);
          assert(bytes < 100_000, `${what}: ${bytes} bytes of code`);
        }
      } finally {
        WebAssembly.Module = Module;
      }
    });
  }

  it("and kernels of one tall column do not make code without end", () => {
    const shapes = [[1, 1, 90_000, 1], [1, 1, 65, 1]] as const;
    assertEquals(explainConv(...shapes, {}).tier, "naive");
    assertEquals(explainConv([1, 1, 90_000, 1], [1, 1, 64, 1], {}).tier, "simd");
  });
});

describe("A cache", () => {
  it("does not change with the parameters that made it", () => {
    const random = new RandomState(3);
    const x = random.randn([2, 2, 6, 6]), w = random.randn([2, 2, 3, 3]), b = random.randn([2]);
    const stride: [number, number] = [1, 1], pad: [number, number, number, number] = [2, 2, 0, 0];
    for (
      const [forward, backward] of [
        [convForward, convBackward],
        [convForwardNaive, convBackwardNaive],
      ] as const
    ) {
      const { out, cache } = forward(x, w, b, { stride, pad });
      const before = backward(out, cache);
      // The output has the same shape.
      pad.reverse();
      const after = backward(out, cache);
      assertSame(after.dx, before.dx.data, "dx");
      assertSame(after.dw, before.dw.data, "dw");
    }
    const poolParam = { poolHeight: 3, poolWidth: 3, stride, pad: pad };
    const { out, cache } = maxPoolForward(x, poolParam);
    const before = maxPoolBackward(out, cache);
    pad.reverse();
    poolParam.poolHeight = 1;
    assertSame(maxPoolBackward(out, cache), before.data, "the pool's dx");
  });

  it("does not change with the shape of the input", () => {
    const shape = [2, 3];
    for (const mode of ["train", "test"] as const) {
      const { out, cache } = dropoutForward({ data: new Float64Array(6), shape }, { mode, p: 0.5 });
      shape.reverse();
      assertEquals([out.shape, cache.shape], [shape.toReversed(), shape.toReversed()]);
      shape.reverse();
    }
    const x = { data: new Float64Array(12), shape: [1, 2, 2, 3] };
    const { cache } = globalAverageForward(x);
    x.shape.reverse();
    assertEquals(cache.shape, [1, 2, 2, 3]);
  });
});

describe("A net", () => {
  it("does not change with the description that made it", () => {
    const pad: [number, number, number, number] = [2, 2, 0, 0];
    const blocks = [{ conv: 2, pad }];
    const inputDim = [2, 6, 6], random = new RandomState(3);
    const net = new ConvNet({ inputDim, numClasses: 3, blocks, random });
    const x = random.randn([2, ...inputDim]);
    const before = net.loss(x);
    pad.reverse();
    assertSame(net.loss(x), before.data, "scores");
  });
});

describe("Arrays of another realm", () => {
  /** An array as another realm makes it. */
  const foreign = <A extends FloatArray>(name: string, numbers: A): A => {
    const array = runInNewContext(`new ${name}(${numbers.length})`);
    array.set(numbers);
    return array;
  };

  for (const dtype of dtypes) {
    for (const kernels of ["auto", "generated", "naive"] as const) {
      it(`are served like this realm's by ${kernels} kernels, ${dtype}`, () => {
        using _ = useKernels(kernels);
        const random = new RandomState(5);
        const own = [[2, 2, 6, 6], [3, 2, 3, 3], [3]].map((shape) => random.randn(shape, dtype));
        const name = dtype === "float32" ? "Float32Array" : "Float64Array";
        const others = own.map(({ data, shape }) => tensor(foreign(name, data), shape));
        assertEquals(others[0].data instanceof Float32Array, false);
        assertEquals(others[0].data instanceof Float64Array, false);
        const [a, b] = [own, others].map(([x, w, b]) => {
          const conv = convForward(x, w, b, { pad: 1 });
          const rectified = reluForward(conv.out);
          const pool = maxPoolForward(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
          const dpool = maxPoolBackward(pool.out, pool.cache);
          const drelu = reluBackward(x, reluForward(x).cache);
          const { dx, dw, db } = convBackward(rectified.out, conv.cache);
          return [conv.out, rectified.out, pool.out, dpool, drelu, dx, dw, db];
        });
        for (const [i, { data }] of a.entries()) {
          assertSame(b[i], data, `result ${i}`);
          assertEquals(b[i].data.constructor.name, name);
        }
      });
    }
  }
});

describe("registerKernels()", () => {
  it("refuses what is no kernel, and adds none of its list", () => {
    const pass = () => {};
    const conv = { forward: pass, backwardData: pass, backwardWeights: pass };
    const good = { name: "conv-9x9-s9-generated", ...conv };
    const pool = { name: "maxpool-9x9-s9-generated", forward: pass, backward: pass };
    const refused: readonly [unknown, unknown, string][] = [
      [good, [], "convs must be an array of generated kernels: received an object"],
      [[good, null], [], "convs[1] must be a generated kernel: received null"],
      [[good, { ...conv }], [], "convs[1].name must be like conv-"],
      [[good, { ...good, name: "conv-9x9-generated" }], [], 'received "conv-9x9-generated"'],
      [[good, { ...good, name: "maxpool-9x9-s9-generated" }], [], "convs[1].name must be like"],
      [[good, { ...good, backwardData: 1 }], [], "convs[1].backwardData must be a function"],
      [[good], "pools", 'pools must be an array of generated kernels: received "pools"'],
      [[good], [{ ...pool, backward: undefined }], "pools[0].backward must be a function"],
      [[good], [{ ...pool, name: "maxpool-s9-generated" }], "pools[0].name must be like maxpool-"],
    ];
    for (const [convs, pools, message] of refused) {
      // @ts-expect-error: wrong on purpose
      assertThrows(() => registerKernels(convs, pools), TypeError, message);
    }
    const { tier } = explainConv([1, 1, 9, 9], [1, 1, 9, 9], { stride: 9 });
    using _ = useKernels("generated");
    assertEquals([tier, explainConv([1, 1, 9, 9], [1, 1, 9, 9], { stride: 9 }).tier], [
      "simd",
      "naive",
    ]);
  });

  it("takes every name that the generator gives", () => {
    registerKernels(generatedConvs, generatedPools);
    const shape = convShape([1, 1, 97, 91], [1, 1, 13, 11], { stride: [1, 2], pad: [1, 0, 2, 0] });
    const names = [convLabel(shape), familyLabel(shape)];
    const [{ forward, backwardData, backwardWeights }] = generatedConvs;
    const passes = { forward, backwardData, backwardWeights };
    // Names of shapes that no other test asks for.
    registerKernels(names.map((label) => ({ name: `conv-${label}-generated`, ...passes })));
    assertEquals(names, ["1x97x91-1x13x11-s1x2p1x0x2x0", "13x11-s1x2"]);
  });
});

describe("useKernels()", () => {
  const tierOf = () => explainConv([1, 3, 31, 31], [25, 3, 3, 3], { stride: 2, pad: 1 }).tier;

  it("restores the choice that was in force at the end of its block", () => {
    const before = tierOf();
    {
      using _ = useKernels("naive");
      assertEquals(tierOf(), "naive");
      {
        using _ = useKernels("generated");
        assertEquals(tierOf(), "generated");
      }
      assertEquals(tierOf(), "naive");
    }
    assertEquals(tierOf(), before);
  });

  it("restores it when the block throws", () => {
    const before = tierOf();
    assertThrows(() => {
      using _ = useKernels("naive");
      throw new Error("stop");
    });
    assertEquals(tierOf(), before);
  });
});
