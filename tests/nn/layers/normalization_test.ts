import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  batchnormBackward,
  batchnormBackwardAlt,
  batchnormForward,
  type BatchnormParams,
  full,
  layernormBackward,
  layernormForward,
  RandomState,
  relError,
  spatialBatchnormBackward,
  spatialBatchnormForward,
  spatialGroupnormBackward,
  spatialGroupnormForward,
  type Tensor,
  tensor,
  zeros,
} from "../../../mod.ts";
import {
  assertGradients,
  assertNumbers,
  assertSums,
  channelStatistics,
  sum,
} from "../../support/gradients.ts";

const train = { mode: "train" } as const;

/** scale * x + shift. */
function affinely<A extends Tensor["data"]>(x: Tensor<A>, scale: number, shift: number): Tensor<A> {
  const data = x.data.slice() as A;
  for (let i = 0; i < data.length; i++) data[i] = scale * data[i] + shift;
  return { data, shape: x.shape };
}

function float32({ data, shape }: Tensor): Tensor<Float32Array> {
  return tensor(Float32Array.from(data), shape);
}

/** max(0, x W1) W2: the activations whose statistics the course looks at. */
function activations(x: Tensor, w1: Tensor, w2: Tensor): Tensor<Float64Array> {
  const product = (a: Tensor, b: Tensor) => {
    const [N, D] = a.shape, M = b.shape[1];
    const out = zeros([N, M]);
    for (let n = 0; n < N; n++) {
      for (let m = 0; m < M; m++) {
        for (let d = 0; d < D; d++) out.data[n * M + m] += a.data[n * D + d] * b.data[d * M + m];
      }
    }
    return out;
  };
  const hidden = product(x, w1);
  hidden.data.forEach((v, i) => hidden.data[i] = Math.max(0, v));
  return product(hidden, w2);
}

/** The rows of a matrix as channels: (1, N, D), for the statistics of each. */
const rows = ({ data, shape }: Tensor) => tensor(data, [1, ...shape]);

describe("batchnormForward()", () => {
  it("gives the means and deviations that the course prints", () => {
    const random = new RandomState(231);
    const x = random.randn([200, 50]), w1 = random.randn([50, 60]), w2 = random.randn([60, 3]);
    const a = activations(x, w1, w2);
    const before = channelStatistics(a);
    assertNumbers(before.means, [-2.3814598, -13.18038246, 1.91780462]);
    assertNumbers(before.stds, [27.18502186, 34.21455511, 37.68611762]);
    const plain = channelStatistics(batchnormForward(a, full([3], 1), full([3], 0), train).out);
    assertNumbers(plain.means, [0, 0, 0], 1e-15);
    assertNumbers(plain.stds, [0.99999999, 1, 1]);
    const gamma = tensor(Float64Array.of(1, 2, 3), [3]);
    const beta = tensor(Float64Array.of(11, 12, 13), [3]);
    const scaled = channelStatistics(batchnormForward(a, gamma, beta, train).out);
    assertNumbers(scaled.means, [11, 12, 13], 1e-14);
    assertNumbers(scaled.stds, [0.99999999, 1.99999999, 2.99999999]);
  });

  it("uses the running statistics in test mode", () => {
    const random = new RandomState(231);
    const w1 = random.randn([50, 60]), w2 = random.randn([60, 3]);
    const bnParam: BatchnormParams<Float64Array> = { mode: "train" };
    const gamma = full([3], 1), beta = full([3], 0);
    for (let t = 0; t < 50; t++) {
      batchnormForward(activations(random.randn([200, 50]), w1, w2), gamma, beta, bnParam);
    }
    const learned = { ...bnParam };
    bnParam.mode = "test";
    const a = activations(random.randn([200, 50]), w1, w2);
    const { means, stds } = channelStatistics(batchnormForward(a, gamma, beta, bnParam).out);
    assertNumbers(means, [-0.03927354, -0.04349152, -0.10452688]);
    assertNumbers(stds, [1.01531428, 1.01238373, 0.97819988]);
    assertEquals({ ...bnParam, mode: "train" }, learned);
  });

  it("writes the running statistics back, the biased variance among them", () => {
    const x = tensor(Float64Array.of(1, 10, 3, 30), [2, 2]);
    const given = tensor(Float64Array.of(5, 5), [2]);
    const bnParam: BatchnormParams<Float64Array> = {
      mode: "train",
      momentum: 0.75,
      runningMean: given,
    };
    batchnormForward(x, full([2], 1), full([2], 0), bnParam);
    assertEquals(bnParam.runningMean, tensor(Float64Array.of(4.25, 8.75), [2]));
    assertEquals(bnParam.runningVar, tensor(Float64Array.of(0.25, 25), [2]));
    assertEquals(given, tensor(Float64Array.of(5, 5), [2]));
  });

  it("keeps its digits where the mean is large against the deviation", () => {
    const x = affinely(new RandomState(0).randn([1000, 1]), 1e-3, 1e6);
    const { out } = batchnormForward(x, full([1], 1), full([1], 0), { mode: "train", eps: 0 });
    const { means, stds } = channelStatistics(out);
    // The sum of 1000 such numbers ends in 1e-7: a ten-thousandth of the deviation, over 1000.
    assertNumbers(means, [0], 1e-6);
    assertNumbers(stds, [1], 1e-12);
  });

  it("gives a batch of nothing for one, and learns nothing from it", () => {
    const bnParam: BatchnormParams<Float64Array> = { mode: "train" };
    const { out, cache } = batchnormForward(zeros([0, 3]), full([3], 1), full([3], 0), bnParam);
    assertEquals(out.shape, [0, 3]);
    assertEquals(bnParam, { mode: "train" });
    assertEquals(batchnormBackward(out, cache).dbeta, zeros([3]));
    assertEquals(batchnormBackwardAlt(out, cache).dgamma, zeros([3]));
  });

  it("refuses what cannot be, and writes nothing then", () => {
    const x = zeros([4, 3]), gamma = full([3], 1), beta = full([3], 0);
    const bnParam: BatchnormParams<Float64Array> = { mode: "train" };
    assertThrows(() => batchnormForward(x, full([4], 1), beta, bnParam), RangeError, "gamma");
    assertThrows(() => batchnormForward(x, gamma, full([1, 3], 0), bnParam), TypeError, "beta");
    assertThrows(
      () => batchnormForward(zeros([4, 3, 1]), gamma, beta, bnParam),
      TypeError,
      "x must",
    );
    assertThrows(() => batchnormForward(zeros([4, 0]), zeros([0]), zeros([0]), train), RangeError);
    assertEquals(bnParam, { mode: "train" });
    const bad = (param: unknown) => () =>
      batchnormForward(x, gamma, beta, param as BatchnormParams<Float64Array>);
    assertThrows(bad({}), TypeError, 'bnParam.mode must be "train" or "test": received undefined');
    assertThrows(bad(null), TypeError, "bnParam must be an object");
    assertThrows(bad({ mode: "train", axis: 0 }), TypeError, '"axis"');
    assertThrows(bad({ mode: "train", eps: -1 }), RangeError, "bnParam.eps");
    assertThrows(bad({ mode: "train", eps: NaN }), RangeError, "NaN");
    assertThrows(bad({ mode: "train", momentum: 1.5 }), RangeError, "from 0 to 1");
    assertThrows(bad({ mode: "train", runningMean: zeros([4]) }), RangeError, "runningMean");
    assertThrows(bad({ mode: "test", runningVar: [1, 1, 1] }), TypeError, "runningVar");
    assertThrows(bad({ mode: "test", runningVar: zeros([3], "float32") }), TypeError, "float32");
    const mixed: Tensor = zeros([3], "float32");
    assertThrows(
      () => batchnormForward<Tensor["data"]>(x, mixed, beta, { mode: "train" }),
      TypeError,
      "gamma is float32",
    );
  });
});

describe("batchnormBackward() and batchnormBackwardAlt()", () => {
  const random = new RandomState(231);
  const x = affinely(random.randn([4, 5]), 5, 12);
  const gamma = random.randn([5]), beta = random.randn([5]), dout = random.randn([4, 5]);

  it("agree with central differences", () => {
    const { cache } = batchnormForward(x, gamma, beta, { mode: "train" });
    for (const backward of [batchnormBackward, batchnormBackwardAlt]) {
      const { dx, dgamma, dbeta } = backward(dout, cache);
      assertGradients(() => batchnormForward(x, gamma, beta, { mode: "train" }).out, dout, {
        dx: [x, dx, 2 * 1.7029281043741803e-09],
        dgamma: [gamma, dgamma, 2 * 7.420414216247087e-13],
        dbeta: [beta, dbeta, 2 * 2.8795057655839487e-12],
      });
    }
  });

  it("agree with central differences in test mode, where statistics are constants", () => {
    const bnParam = {
      mode: "test",
      runningMean: full([5], 11),
      runningVar: full([5], 20),
    } as const;
    const { cache } = batchnormForward(x, gamma, beta, bnParam);
    for (const backward of [batchnormBackward, batchnormBackwardAlt]) {
      const { dx, dgamma, dbeta } = backward(dout, cache);
      assertGradients(() => batchnormForward(x, gamma, beta, bnParam).out, dout, {
        dx: [x, dx, 1e-9],
        dgamma: [gamma, dgamma, 1e-9],
        dbeta: [beta, dbeta, 1e-9],
      });
    }
  });

  it("give each other's numbers", () => {
    const random = new RandomState(231);
    const x = affinely(random.randn([100, 500]), 5, 12);
    const gamma = random.randn([500]), beta = random.randn([500]);
    const dout = random.randn([100, 500]);
    const { cache } = batchnormForward(x, gamma, beta, { mode: "train" });
    const slow = batchnormBackward(dout, cache), fast = batchnormBackwardAlt(dout, cache);
    assert(relError(slow.dx, fast.dx) < 1e-9);
    assert(relError(slow.dgamma, fast.dgamma) < 1e-12);
    assert(relError(slow.dbeta, fast.dbeta) < 1e-12);
  });

  it("give float32 for float32", () => {
    const exact = batchnormBackward(
      dout,
      batchnormForward(x, gamma, beta, { mode: "train" }).cache,
    );
    const bnParam: BatchnormParams<Float32Array> = { mode: "train" };
    const { out, cache } = batchnormForward(float32(x), float32(gamma), float32(beta), bnParam);
    assert(out.data instanceof Float32Array && bnParam.runningVar?.data instanceof Float32Array);
    for (const backward of [batchnormBackward, batchnormBackwardAlt]) {
      const { dx, dgamma, dbeta } = backward(float32(dout), cache);
      const pairs = [[dx, exact.dx], [dgamma, exact.dgamma], [dbeta, exact.dbeta]];
      for (const [actual, expected] of pairs) {
        assert(actual.data instanceof Float32Array);
        assertNumbers(actual.data, [...expected.data], 1e-5);
      }
    }
  });

  it("refuse what does not fit", () => {
    const { cache } = batchnormForward(x, gamma, beta, { mode: "train" });
    const other = layernormForward(x, gamma, beta).cache;
    for (const backward of [batchnormBackward, batchnormBackwardAlt]) {
      assertThrows(() => backward(zeros([5, 4]), cache), RangeError, "[4,5]");
      assertThrows(() => backward(zeros([20]), cache), TypeError, "[4,5]");
      // @ts-expect-error: a cache of another layer
      assertThrows(() => backward(dout, other), TypeError, "it comes from layernormForward");
      // @ts-expect-error: an empty cache
      assertThrows(() => backward(dout, {}), TypeError, "cache must have layer");
    }
  });
});

describe("layernormForward()", () => {
  it("gives each row mean 0 and deviation 1", () => {
    const random = new RandomState(231);
    const x = random.randn([4, 50]), w1 = random.randn([50, 60]), w2 = random.randn([60, 3]);
    const a = activations(x, w1, w2);
    const before = channelStatistics(rows(a));
    assertNumbers(before.means, [-59.06673243, -47.60782686, -43.31137368, -26.40991744]);
    assertNumbers(before.stds, [10.07429373, 28.39478981, 35.28360729, 4.01831507]);
    const { out } = layernormForward(a, full([3], 1), full([3], 0), { mode: "train" });
    const plain = channelStatistics(rows(out));
    assertNumbers(plain.means, [0, 0, 0, 0], 1e-14);
    assertNumbers(plain.stds, [0.99999995, 0.99999999, 1, 0.99999969]);
    const scaled = channelStatistics(rows(layernormForward(a, full([3], 3), full([3], 5)).out));
    assertNumbers(scaled.means, [5, 5, 5, 5], 1e-13);
    assertNumbers(scaled.stds, [2.99999985, 2.99999998, 2.99999999, 2.99999907]);
  });

  it("gives a batch of nothing for one", () => {
    const { out, cache } = layernormForward(zeros([0, 3]), full([3], 1), full([3], 0));
    assertEquals(out.shape, [0, 3]);
    assertEquals(layernormBackward(out, cache).dgamma, zeros([3]));
  });

  it("refuses what cannot be", () => {
    const x = zeros([4, 3]), gamma = full([3], 1);
    assertThrows(() => layernormForward(x, full([4], 1), gamma), RangeError, "gamma");
    assertThrows(() => layernormForward(zeros([4]), gamma, gamma), TypeError, "x must have 2");
    assertThrows(() => layernormForward(x, gamma, gamma, { eps: -1 }), RangeError, "lnParam.eps");
    // @ts-expect-error: an unknown option
    assertThrows(() => layernormForward(x, gamma, gamma, { momentum: 1 }), TypeError, "momentum");
    // @ts-expect-error: no such mode
    const use: { mode: "train" } = { mode: "use" };
    assertThrows(() => layernormForward(x, gamma, gamma, use), TypeError, "lnParam.mode");
  });
});

describe("layernormBackward()", () => {
  const random = new RandomState(231);
  const x = affinely(random.randn([4, 5]), 5, 12);
  const gamma = random.randn([5]), beta = random.randn([5]), dout = random.randn([4, 5]);

  it("agrees with central differences", () => {
    const { dx, dgamma, dbeta } = layernormBackward(dout, layernormForward(x, gamma, beta).cache);
    assertGradients(() => layernormForward(x, gamma, beta).out, dout, {
      dx: [x, dx, 2 * 2.1e-09],
      dgamma: [gamma, dgamma, 2 * 4.519489546032799e-12],
      dbeta: [beta, dbeta, 2 * 2.6e-12],
    });
  });

  it("gives float32 for float32", () => {
    const exact = layernormBackward(dout, layernormForward(x, gamma, beta).cache);
    const { cache } = layernormForward(float32(x), float32(gamma), float32(beta));
    const { dx, dgamma, dbeta } = layernormBackward(float32(dout), cache);
    assertNumbers(dx.data, [...exact.dx.data], 1e-5);
    assertNumbers(dgamma.data, [...exact.dgamma.data], 1e-5);
    assertNumbers(dbeta.data, [...exact.dbeta.data], 1e-5);
  });
});

describe("spatialBatchnormForward()", () => {
  it("gives the means and deviations that the course prints", () => {
    const x = affinely(new RandomState(231).randn([2, 3, 4, 5]), 4, 10);
    const before = channelStatistics(x);
    assertNumbers(before.means, [9.33463814, 8.90909116, 9.11056338]);
    assertNumbers(before.stds, [3.61447857, 3.19347686, 3.5168142]);
    const { out } = spatialBatchnormForward(x, full([3], 1), full([3], 0), { mode: "train" });
    const plain = channelStatistics(out);
    assertNumbers(plain.means, [0, 0, 0], 1e-15);
    assertNumbers(plain.stds, [0.99999962, 0.99999951, 0.9999996]);
    const gamma = tensor(Float64Array.of(3, 4, 5), [3]);
    const beta = tensor(Float64Array.of(6, 7, 8), [3]);
    const scaled = channelStatistics(spatialBatchnormForward(x, gamma, beta, train).out);
    assertNumbers(scaled.means, [6, 7, 8], 1e-14);
    assertNumbers(scaled.stds, [2.99999885, 3.99999804, 4.99999798]);
  });

  it("uses the running statistics in test mode", () => {
    const random = new RandomState(231);
    const bnParam: BatchnormParams<Float64Array> = { mode: "train" };
    const gamma = full([4], 1), beta = full([4], 0);
    for (let t = 0; t < 50; t++) {
      const x = affinely(random.randn([10, 4, 11, 12]), 2.3, 13);
      spatialBatchnormForward(x, gamma, beta, bnParam);
    }
    bnParam.mode = "test";
    const x = affinely(random.randn([10, 4, 11, 12]), 2.3, 13);
    const { means, stds } = channelStatistics(spatialBatchnormForward(x, gamma, beta, bnParam).out);
    assertNumbers(means, [-0.08034406, 0.07562881, 0.05716371, 0.04378383]);
    assertNumbers(stds, [0.96718744, 1.0299714, 1.02887624, 1.00585577]);
  });

  it("is batchnormForward() with the positions as examples", () => {
    const random = new RandomState(4);
    const [N, C, H, W] = [3, 4, 5, 7];
    const x = random.randn([N, C, H, W]), gamma = random.randn([C]), beta = random.randn([C]);
    const flat = zeros([N * H * W, C]);
    const place = (n: number, c: number, i: number) => (n * H * W + i) * C + c;
    for (let n = 0; n < N; n++) {
      for (let c = 0; c < C; c++) {
        for (let i = 0; i < H * W; i++) {
          flat.data[place(n, c, i)] = x.data[(n * C + c) * H * W + i];
        }
      }
    }
    const spatialParam: BatchnormParams<Float64Array> = { mode: "train" };
    const flatParam: BatchnormParams<Float64Array> = { mode: "train" };
    const { out } = spatialBatchnormForward(x, gamma, beta, spatialParam);
    const { out: flatOut } = batchnormForward(flat, gamma, beta, flatParam);
    for (let i = 0; i < out.data.length; i++) {
      const plane = Math.floor(i / (H * W));
      const at = place(Math.floor(plane / C), plane % C, i % (H * W));
      assertAlmostEquals(out.data[i], flatOut.data[at], 1e-12);
    }
    assertNumbers(spatialParam.runningMean!.data, [...flatParam.runningMean!.data], 1e-15);
    assertNumbers(spatialParam.runningVar!.data, [...flatParam.runningVar!.data], 1e-15);
  });

  it("refuses what cannot be", () => {
    const x = zeros([2, 3, 4, 5]), gamma = full([3], 1);
    assertThrows(() => spatialBatchnormForward(zeros([2, 3]), gamma, gamma, train), TypeError, "4");
    assertThrows(() => spatialBatchnormForward(x, full([2], 1), gamma, train), RangeError, "[3]");
    assertThrows(
      () => spatialBatchnormForward(zeros([2, 3, 0, 5]), gamma, gamma, train),
      RangeError,
      "[2,3,0,5]",
    );
  });
});

describe("spatialBatchnormBackward()", () => {
  const random = new RandomState(231);
  const x = affinely(random.randn([2, 3, 4, 5]), 5, 12);
  const gamma = random.randn([3]), beta = random.randn([3]), dout = random.randn([2, 3, 4, 5]);
  const { out, cache } = spatialBatchnormForward(x, gamma, beta, { mode: "train" });
  const exact = spatialBatchnormBackward(dout, cache);

  it("matches the course's sums", () => {
    const { dx, dgamma, dbeta } = exact;
    assertSums(out, -19.4810317381089, 122.477659554157);
    assertAlmostEquals(sum(dx), 0, 1e-12);
    assertSums(dx, 0, 3.22318534280884);
    assertNumbers(dgamma.data, [-4.50943382, -3.01744041, 1.1467511]);
    assertNumbers(dbeta.data, [-12.04110178, -3.6994486, -7.79350355]);
  });

  it("agrees with central differences", () => {
    const { dx, dgamma, dbeta } = exact;
    assertGradients(() => spatialBatchnormForward(x, gamma, beta, { mode: "train" }).out, dout, {
      dx: [x, dx, 2 * 3.083846820796372e-07],
      dgamma: [gamma, dgamma, 2 * 7.09738489671469e-12],
      dbeta: [beta, dbeta, 2 * 3.275608725278405e-12],
    });
  });

  it("gives float32 for float32", () => {
    const forward = spatialBatchnormForward(float32(x), float32(gamma), float32(beta), {
      mode: "train",
    });
    const { dx, dgamma, dbeta } = spatialBatchnormBackward(float32(dout), forward.cache);
    assertNumbers(dx.data, [...exact.dx.data], 1e-5);
    assertNumbers(dgamma.data, [...exact.dgamma.data], 1e-5);
    assertNumbers(dbeta.data, [...exact.dbeta.data], 1e-5);
  });

  it("refuses the cache of another layer", () => {
    const { cache } = spatialGroupnormForward(x, gamma, beta, 3);
    assertThrows(
      // @ts-expect-error: a cache of another layer
      () => spatialBatchnormBackward(dout, cache),
      TypeError,
      "it comes from spatialGroupnormForward",
    );
  });
});

describe("spatialGroupnormForward()", () => {
  it("gives each group of each image mean 0 and deviation 1", () => {
    const x = affinely(new RandomState(231).randn([2, 6, 4, 5]), 4, 10);
    const groups = ({ data }: Tensor) => tensor(data, [1, 4, 3 * 4 * 5]);
    const before = channelStatistics(groups(x));
    assertNumbers(before.means, [9.72505327, 8.51114185, 8.9147544, 9.43448077]);
    assertNumbers(before.stds, [3.67070958, 3.09892597, 4.27043622, 3.97521327]);
    const gamma = full([1, 6, 1, 1], 1), beta = full([1, 6, 1, 1], 0);
    const { out } = spatialGroupnormForward(x, gamma, beta, 2, { mode: "train" });
    const { means, stds } = channelStatistics(groups(out));
    assertNumbers(means, [0, 0, 0, 0], 1e-15);
    assertNumbers(stds, [0.99999963, 0.99999948, 0.99999973, 0.99999968]);
  });

  it("takes gamma and beta of (C) too", () => {
    const random = new RandomState(5);
    const x = random.randn([2, 6, 4, 5]), gamma = random.randn([6]), beta = random.randn([6]);
    const wide = ({ data }: Tensor<Float64Array>) => tensor(data, [1, 6, 1, 1]);
    const narrow = spatialGroupnormForward(x, gamma, beta, 3);
    const course = spatialGroupnormForward(x, wide(gamma), wide(beta), 3);
    assertEquals(narrow.out, course.out);
    assertEquals(spatialGroupnormBackward(x, narrow.cache).dgamma.shape, [6]);
    assertEquals(spatialGroupnormBackward(x, course.cache).dgamma.shape, [1, 6, 1, 1]);
  });

  it("refuses what cannot be", () => {
    const x = zeros([2, 6, 4, 5]), gamma = full([6], 1);
    assertThrows(() => spatialGroupnormForward(x, gamma, gamma, 4), RangeError, "G is 4");
    assertThrows(() => spatialGroupnormForward(x, gamma, gamma, 0), RangeError, "G must be");
    assertThrows(() => spatialGroupnormForward(x, gamma, gamma, 1.5), RangeError, "1.5");
    assertThrows(
      () => spatialGroupnormForward(x, full([6, 1, 1], 1), gamma, 2),
      TypeError,
      "gamma",
    );
    assertThrows(
      () => spatialGroupnormForward(x, full([1, 6, 1, 1], 1), gamma, 2),
      TypeError,
      "beta",
    );
  });
});

describe("spatialGroupnormBackward()", () => {
  it("agrees with central differences", () => {
    const random = new RandomState(231);
    const x = affinely(random.randn([2, 6, 4, 5]), 5, 12);
    const gamma = random.randn([1, 6, 1, 1]), beta = random.randn([1, 6, 1, 1]);
    const dout = random.randn([2, 6, 4, 5]);
    const { cache } = spatialGroupnormForward(x, gamma, beta, 2);
    const { dx, dgamma, dbeta } = spatialGroupnormBackward(dout, cache);
    assertGradients(() => spatialGroupnormForward(x, gamma, beta, 2).out, dout, {
      dx: [x, dx, 2 * 6.345904562232329e-08],
      dgamma: [gamma, dgamma, 2 * 1.0546047434202244e-11],
      dbeta: [beta, dbeta, 2 * 3.810857316122484e-12],
    });
  });
});
