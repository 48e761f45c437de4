import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  affineBackward,
  affineForward,
  dropoutBackward,
  dropoutForward,
  evalNumericalGradient,
  full,
  linspace,
  RandomState,
  relError,
  reluBackward,
  reluForward,
  softmaxLoss,
  svmLoss,
  type Tensor,
  tensor,
  zeros,
} from "../../../mod.ts";
import { affineForwardFusedRelu } from "../../../nn/layers/affine.ts";
import { assertGradients, assertNumbers, assertSums, sum } from "../../support/gradients.ts";
import { assertSameBits } from "../../support/bits.ts";

const float32 = ({ data, shape }: Tensor) => tensor(Float32Array.from(data), shape);

describe("affineForward()", () => {
  it("matches the course's table", () => {
    const x = linspace(-0.1, 0.5, [2, 4, 5, 6]), w = linspace(-0.2, 0.3, [120, 3]);
    const { out } = affineForward(x, w, linspace(-0.3, 0.1, [3]));
    assertEquals(out.shape, [2, 3]);
    assertNumbers(out.data, [
      1.49834967,
      1.70660132,
      1.91485297,
      3.25553199,
      3.5141327,
      3.77273342,
    ]);
  });

  it("gives float32 for float32", () => {
    const x = linspace(-0.1, 0.5, [2, 4, 5, 6], "float32");
    const w = linspace(-0.2, 0.3, [120, 3], "float32");
    const { out } = affineForward(x, w, linspace(-0.3, 0.1, [3], "float32"));
    assert(out.data instanceof Float32Array);
    assertAlmostEquals(out.data[5], 3.77273342, 1e-6);
  });

  it("gives nothing for a batch of nothing", () => {
    const { out, cache } = affineForward(zeros([0, 4]), zeros([4, 3]), zeros([3]));
    assertEquals(out.shape, [0, 3]);
    const { dx, dw, db } = affineBackward(out, cache);
    assertEquals([dx.shape, dw.shape, db.shape], [[0, 4], [4, 3], [3]]);
    assert(dw.data.every((v) => v === 0));
  });

  it("does relu in the same pass for the cascades", () => {
    const random = new RandomState(1);
    const x = random.randn([7, 13]), w = random.randn([13, 9]), b = random.randn([9]);
    const { out } = affineForward(x, w, b);
    assertEquals(affineForwardFusedRelu(x, w, b).out.data, out.data.map((v) => Math.max(0, v)));
  });

  it("refuses what does not fit", () => {
    const x = zeros([2, 3, 4]), w = zeros([12, 5]), b = zeros([5]);
    assertThrows(() => affineForward(x, zeros([11, 5]), b), RangeError, "x has shape [2,3,4]");
    assertThrows(() => affineForward(x, zeros([11, 5]), b), RangeError, "w has shape [11,5]");
    assertThrows(() => affineForward(x, w, zeros([4])), RangeError, "[5]");
    assertThrows(() => affineForward(x, w, zeros([5, 1])), TypeError, "b must have the shape");
    assertThrows(() => affineForward(zeros([24]), w, b), TypeError, "x must have 2 dimensions");
    assertThrows(() => affineForward(x, zeros([3, 4, 5]), b), TypeError, "w must have 2");
    assertThrows(() => affineForward(zeros([2, 0]), zeros([0, 5]), b), RangeError, "empty");
    assertThrows(
      () => affineForward<Float32Array | Float64Array>(zeros([2, 12], "float32"), w, b),
      TypeError,
      "x is float32",
    );
    // @ts-expect-error: a plain array is not a tensor's data
    assertThrows(() => affineForward({ data: [1, 2], shape: [1, 2] }, w, b), TypeError, "Float32");
    // @ts-expect-error: null is not a tensor
    assertThrows(() => affineForward(x, null, b), TypeError, "w must be a tensor");
  });
});

describe("affineBackward()", () => {
  const random = new RandomState(231);
  const x = random.randn([10, 2, 3]), w = random.randn([6, 5]), b = random.randn([5]);
  const dout = random.randn([10, 5]);
  const { out, cache } = affineForward(x, w, b);

  it("matches the course's sums", () => {
    const { dx, dw, db } = affineBackward(dout, cache);
    assertSums(out, -44.5219067534074);
    assertSums(dx, 57.4239242891891, 323.59584884865);
    assertSums(dw, -11.8225256113555, 229.354206935573);
    assertNumbers(db.data, [-5.78588657, -2.14288946, -3.93648137, -4.10664587, -0.09253319]);
    assertEquals(dx.shape, [10, 2, 3]);
  });

  it("agrees with central differences", () => {
    const { dx, dw, db } = affineBackward(dout, cache);
    const forward = () => affineForward(x, w, b).out;
    assertGradients(forward, dout, { dx: [x, dx, 1e-9], dw: [w, dw, 1e-9], db: [b, db, 1e-9] });
    // At the course's step of 1e-5 all of the error is the rounding of the outputs' last bits. The
    // layer is linear in each input, so that a larger step leaves the gradient alone.
    assertGradients(forward, dout, {
      dx: [x, dx, 5.399e-11],
      dw: [w, dw, 9.904e-11],
      db: [b, db, 2.412e-11],
    }, 1e-3);
  });

  it("leaves out dx where it is not wanted", () => {
    const all = affineBackward(dout, cache), some = affineBackward(dout, cache, { dx: false });
    assertEquals(some, { dw: all.dw, db: all.db });
  });

  it("gives float32 for float32", () => {
    const exact = affineBackward(dout, cache);
    const { cache: cache32 } = affineForward(float32(x), float32(w), float32(b));
    const { dx, dw, db } = affineBackward(float32(dout), cache32);
    for (const [a, e] of [[dx, exact.dx], [dw, exact.dw], [db, exact.db]]) {
      assert(a.data instanceof Float32Array);
      a.data.forEach((v, i) => assertAlmostEquals(v, e.data[i], 1e-5));
    }
  });

  it("refuses what does not fit", () => {
    assertThrows(() => affineBackward(zeros([10, 4]), cache), RangeError, "[10,5]");
    assertThrows(() => affineBackward(zeros([50]), cache), TypeError, "dout must have the shape");
    // @ts-expect-error: a cache of another layer
    assertThrows(() => affineBackward(dout, { out }), TypeError, '"out"');
    // @ts-expect-error: an empty cache
    assertThrows(() => affineBackward(dout, {}), TypeError, "cache must have x, w, b");
    // @ts-expect-error: an unknown option
    assertThrows(() => affineBackward(dout, cache, { dw: false }), TypeError, '"dw"');
  });
});

describe("reluForward()", () => {
  it("matches the course's table", () => {
    const { out } = reluForward(linspace(-0.5, 0.5, [3, 4]));
    assertEquals(out.shape, [3, 4]);
    const positive = [0.04545455, 0.13636364, 0.22727273, 0.31818182, 0.40909091, 0.5];
    assertNumbers(out.data, [0, 0, 0, 0, 0, 0, ...positive]);
  });

  const odd = [
    0,
    -0,
    1,
    -1,
    NaN,
    Infinity,
    -Infinity,
    5e-324,
    -5e-324,
    1e-45,
    -1e-45,
    1e308,
    -1e308,
  ];

  it("is Math.max(0, x) for zeros, infinities, the smallest numbers and every NaN", () => {
    for (const type of [Float64Array, Float32Array]) {
      const data = type.from([...odd, ...odd]);
      // Not-a-number has a sign, and may have any bits below.
      const bits = new Uint32Array(data.buffer, odd.length * data.BYTES_PER_ELEMENT);
      const random = new RandomState(3);
      for (let i = 0; i < bits.length; i++) bits[i] = random.randint(0, 2 ** 31) * 2 + i % 2;
      bits.set([1, 0xfff00000, 0, 0x7ff80000, 0xffc00000, 0x7f800001, 0, 0x80000000]);
      assertSameBits(reluForward({ data, shape: [26] }).out.data, data.map((v) => Math.max(0, v)));
    }
  });

  it("serves views and shared memory", () => {
    const shared = new Float64Array(new SharedArrayBuffer(40), 8, 3);
    shared.set([-1, 2, -3]);
    assertEquals([...reluForward({ data: shared, shape: [3] }).out.data], [0, 2, 0]);
    const view = Float32Array.of(9, -1, 2, -3, 9).subarray(1, 4);
    assertEquals([...reluForward({ data: view, shape: [3] }).out.data], [0, 2, 0]);
    assertEquals([...view], [-1, 2, -3]);
  });

  it("refuses what is not a tensor", () => {
    // @ts-expect-error: an array is not a tensor
    assertThrows(() => reluForward([1, 2]), TypeError, "x must be a tensor");
    assertThrows(() => reluForward({ data: new Float64Array(3), shape: [2] }), RangeError);
  });
});

describe("reluBackward()", () => {
  it("agrees with central differences", () => {
    const random = new RandomState(231);
    const x = random.randn([10, 10]), dout = random.randn([10, 10]);
    const dx = reluBackward(dout, reluForward(x).cache);
    assertGradients(() => reluForward(x).out, dout, { dx: [x, dx, 2 * 3.275603494131615e-12] });
  });

  it("is 0 at 0 and at NaN, whatever comes back", () => {
    for (const type of [Float64Array, Float32Array]) {
      const x = tensor(type.of(-1, 0, -0, NaN, 1e-40, 2, Infinity, -Infinity), [8]);
      const { cache } = reluForward(x);
      const back = (value: number) => {
        const dout = tensor(x.data.slice().fill(value), [8]);
        return [...reluBackward<Tensor["data"]>(dout, cache).data];
      };
      assertSameBits(back(-3), [0, 0, 0, 0, -3, -3, -3, 0]);
      assertSameBits(back(Infinity), [0, 0, 0, 0, Infinity, Infinity, Infinity, 0]);
    }
  });

  it("refuses what does not fit", () => {
    const { cache } = reluForward(zeros([2, 3]));
    assertThrows(() => reluBackward(zeros([3, 2]), cache), RangeError, "[2,3]");
    const mixed: Tensor = zeros([2, 3], "float32");
    assertThrows(() => reluBackward<Tensor["data"]>(mixed, cache), TypeError, "float32");
    // @ts-expect-error: a cache of another layer
    assertThrows(() => reluBackward(zeros([2, 3]), { x: zeros([2, 3]) }), TypeError, '"x"');
  });
});

describe("dropoutForward()", () => {
  it("drops the course's fractions", () => {
    const random = new RandomState(231);
    const x = random.randn([500, 500]);
    x.data.forEach((v, i) => x.data[i] = v + 10);
    const fraction = ({ data }: Tensor) => data.filter((v) => v === 0).length / data.length;
    const mean = (t: Tensor) => sum(t) / t.data.length;
    assertAlmostEquals(mean(x), 10.000207878477502, 1e-12);
    const cases = [
      [0.25, 0.749784, 10.014059116977283],
      [0.4, 0.600796, 9.977917658761159],
      [0.7, 0.30074, 9.987811912159426],
    ];
    for (const [p, zeroFraction, meanOut] of cases) {
      const { out } = dropoutForward(x, { mode: "train", p, random });
      assertEquals(fraction(out), zeroFraction);
      assertAlmostEquals(mean(out), meanOut, 1e-9);
      assertEquals(dropoutForward(x, { mode: "test", p, random }).out.data, x.data);
    }
  });

  it("draws the same mask for the same seed, and another from a stream", () => {
    const x = full([100], 1);
    const draw = (param: { seed?: number; random?: RandomState }) =>
      [...dropoutForward(x, { mode: "train", p: 0.5, ...param }).out.data].join();
    assertEquals(draw({ seed: 5 }), draw({ seed: 5 }));
    const random = new RandomState(5);
    assertEquals(draw({ random }), draw({ seed: 5 }));
    assert(draw({ random }) !== draw({ seed: 5 }));
    assert(draw({}) !== draw({}));
  });

  it("keeps everything with probability 1, and always at inference", () => {
    const x = new RandomState(0).randn([4, 5]);
    assertEquals(dropoutForward(x, { mode: "train", p: 1 }).out.data, x.data);
    const { out } = dropoutForward(x, { mode: "test", p: 0.1 });
    assertEquals(out.data, x.data);
    assert(out.data !== x.data, "the output is the caller's, the input too");
  });

  it("gives float32 for float32", () => {
    const x = full([1000], 0.1, "float32");
    const { out } = dropoutForward(x, { mode: "train", p: 0.3, seed: 0 });
    const kept = Math.fround(Math.fround(0.1) / 0.3);
    assertEquals(new Set(out.data), new Set([0, kept]));
  });

  it("refuses what cannot be", () => {
    const x = zeros([2]);
    for (const p of [0, -0.5, 1.5, NaN]) {
      assertThrows(() => dropoutForward(x, { mode: "train", p }), RangeError, "dropoutParam.p");
    }
    // @ts-expect-error: no p
    assertThrows(() => dropoutForward(x, { mode: "train" }), TypeError, "dropoutParam.p");
    // @ts-expect-error: no such mode
    assertThrows(() => dropoutForward(x, { mode: "use", p: 1 }), TypeError, "dropoutParam.mode");
    // @ts-expect-error: no such option
    assertThrows(() => dropoutForward(x, { mode: "test", p: 1, keep: 1 }), TypeError, '"keep"');
    // @ts-expect-error: a number is not a generator
    assertThrows(() => dropoutForward(x, { mode: "train", p: 1, random: 1 }), TypeError, "random");
    const both = { mode: "train", p: 1, seed: 1, random: new RandomState(1) } as const;
    assertThrows(() => dropoutForward(x, both), TypeError, "not both");
    const fraction = { mode: "train", p: 1, seed: 1.5 } as const;
    assertThrows(() => dropoutForward(x, fraction), RangeError, "1.5");
  });
});

describe("dropoutBackward()", () => {
  const random = new RandomState(231);
  const x = random.randn([10, 10]), dout = random.randn([10, 10]);
  x.data.forEach((v, i) => x.data[i] = v + 10);
  const param = { mode: "train", p: 0.2, seed: 123 } as const;

  it("agrees with central differences", () => {
    const dx = dropoutBackward(dout, dropoutForward(x, param).cache);
    const forward = () => dropoutForward(x, param).out;
    assertGradients(forward, dout, { dx: [x, dx, 2 * 5.44560814873387e-11] });
  });

  it("lets everything through in test mode", () => {
    const { cache } = dropoutForward(x, { ...param, mode: "test" });
    assertEquals(dropoutBackward(dout, cache).data, dout.data);
  });

  it("refuses what does not fit", () => {
    const { cache } = dropoutForward(x, param);
    assertThrows(() => dropoutBackward(zeros([10, 9]), cache), RangeError, "[10,10]");
    // @ts-expect-error: a cache of another layer
    assertThrows(() => dropoutBackward(dout, { x }), TypeError, '"x"');
  });
});

describe("svmLoss() and softmaxLoss()", () => {
  const random = new RandomState(231);
  const x = random.randn([50, 10]);
  x.data.forEach((v, i) => x.data[i] = 0.001 * v);
  const y = random.randint(0, 10, 50);

  it("give the course's losses", () => {
    assertAlmostEquals(svmLoss(x, y).loss, 8.999602749096233, 1e-13);
    assertAlmostEquals(softmaxLoss(x, y).loss, 2.302545844500738, 1e-13);
  });

  it("agree with central differences", () => {
    const svm = evalNumericalGradient((x) => svmLoss(x, y).loss, x);
    assert(relError(svm, svmLoss(x, y).dx) <= 2 * 1.4021566006651672e-09);
    const softmax = evalNumericalGradient((x) => softmaxLoss(x, y).loss, x);
    assert(relError(softmax, softmaxLoss(x, y).dx) <= 2 * 9.384673161989355e-09);
  });

  it("give float32 for float32", () => {
    for (const loss of [svmLoss, softmaxLoss]) {
      const exact = loss(x, y), single = loss(float32(x), [...y]);
      assert(single.dx.data instanceof Float32Array);
      assertAlmostEquals(single.loss, exact.loss, 1e-6);
      single.dx.data.forEach((v, i) => assertAlmostEquals(v, exact.dx.data[i], 1e-7));
    }
  });

  it("stay finite where a score is huge, and say so where one is NaN", () => {
    const huge = tensor(Float64Array.of(1e300, 0, -1e300), [1, 3]);
    assertEquals(softmaxLoss(huge, [0]).loss, 0);
    assertEquals([...softmaxLoss(huge, [0]).dx.data], [0, 0, 0]);
    assertEquals(softmaxLoss(huge, [1]).loss, 1e300);
    // exp(-700) is about the least number that keeps its digits.
    const low = tensor(Float64Array.of(-800, -801, -802.5), [1, 3]);
    const high = tensor(Float64Array.of(0, -1, -2.5), [1, 3]);
    assertEquals(softmaxLoss(low, [1]), softmaxLoss(high, [1]));
    assertAlmostEquals(softmaxLoss(low, [1]).loss, 1.3715390318526828, 1e-15);
    for (const loss of [svmLoss, softmaxLoss]) {
      assert(Number.isNaN(loss(tensor(Float64Array.of(0, NaN, 0), [1, 3]), [0]).loss));
    }
  });

  it("give the loss and gradient of scores that are all below -700, or far apart", () => {
    const low = tensor(Float64Array.of(-1000, -1001, -1002, -745, -750, -5000), [2, 3]);
    const high = tensor(Float64Array.of(2, 1, 0, 5, 0, -4250), [2, 3]);
    const [ofLow, ofHigh] = [softmaxLoss(low, [2, 0]), softmaxLoss(high, [2, 0])];
    assert(ofLow.loss > 1, `${ofLow.loss}`);
    assertAlmostEquals(ofLow.loss, ofHigh.loss, 1e-12);
    ofLow.dx.data.forEach((v, i) => assertAlmostEquals(v, ofHigh.dx.data[i], 1e-15));
  });

  it("count a class whose margin is exactly 0 as far enough", () => {
    // The wrong classes are 1 below, less than 1 below, and more.
    const x = tensor(Float64Array.of(3, 2, 2.5, 1), [1, 4]);
    const { loss, dx } = svmLoss(x, [0]);
    assertEquals(loss, 0.5);
    assertSameBits([...dx.data], [-1, 0, 1, 0]);
    assertSameBits([...svmLoss(tensor(Float64Array.of(3, 2), [1, 2]), [0]).dx.data], [0, 0]);
  });

  it("refuse bad labels and empty batches", () => {
    for (const loss of [svmLoss, softmaxLoss]) {
      const x = zeros([2, 3]);
      assertThrows(
        () => loss(x, [0, 3]),
        RangeError,
        "y[1] must be a whole number from 0 to 2: received 3",
      );
      assertThrows(
        () => loss(x, [-1, 0]),
        RangeError,
        "y[0] must be a whole number from 0 to 2: received -1",
      );
      assertThrows(
        () => loss(x, [0.5, 0]),
        RangeError,
        "y[0] must be a whole number from 0 to 2: received 0.5",
      );
      assertThrows(() => loss(x, [NaN, 0]), RangeError, "received NaN");
      assertThrows(() => loss(x, [0]), RangeError, "it holds 1");
      const labels = zeros([2]) as unknown as number[];
      const what = loss === svmLoss
        ? "be an array of labels"
        : "have the shape of the scores, [2,3]";
      assertThrows(() => loss(x, labels), TypeError, `y must ${what}`);
      // @ts-expect-error: strings are no labels
      assertThrows(() => loss(x, ["0", "1"]), TypeError, 'y[0] must be a number: received "0"');
      // @ts-expect-error: null is not a list of labels
      assertThrows(() => loss(x, null), TypeError, "received null");
      assertThrows(() => loss(zeros([2]), [0, 0]), TypeError, "x must have 2 dimensions");
      assertThrows(() => loss(zeros([0, 3]), []), RangeError, "[0,3]");
    }
  });
});

describe("softmaxLoss() with soft targets", () => {
  const random = new RandomState(4), x = random.randn([5, 4]), y = random.randint(0, 4, 5);
  const rows = (labels: ArrayLike<number>, smoothing: number) =>
    tensor(
      Float64Array.from({ length: 20 }, (_, i) =>
        (1 - smoothing) * Number(labels[Math.floor(i / 4)] === i % 4) + smoothing / 4),
      [5, 4],
    );

  it("is that of labels if a row has one class, and of smoothed rows with smoothing", () => {
    const plain = softmaxLoss(x, y), oneHot = softmaxLoss(x, rows(y, 0));
    assertAlmostEquals(oneHot.loss, plain.loss, 1e-14);
    assert(relError(oneHot.dx, plain.dx) < 1e-14);
    assertEquals(softmaxLoss(x, y, { labelSmoothing: 0 }), plain);
    const smoothed = softmaxLoss(x, y, { labelSmoothing: 0.2 }),
      same = softmaxLoss(x, rows(y, 0.2));
    assertAlmostEquals(smoothed.loss, same.loss, 1e-14);
    assert(relError(smoothed.dx, same.dx) < 1e-12);
    assert(Math.abs(smoothed.loss - plain.loss) > 1e-3);
  });

  it("has the gradient of its loss", () => {
    const targets = random.rand([5, 4]);
    for (let n = 0; n < 5; n++) {
      const row = targets.data.subarray(4 * n, 4 * n + 4), sum = row.reduce((a, b) => a + b);
      row.forEach((value, c) => row[c] = value / sum);
    }
    for (const [t, labelSmoothing] of [[targets, 0], [targets, 0.3], [y, 0.1]] as const) {
      const { dx } = softmaxLoss(x, t, { labelSmoothing });
      const numeric = evalNumericalGradient((x) => softmaxLoss(x, t, { labelSmoothing }).loss, x);
      assert(relError(dx, numeric) < 1e-7);
    }
  });

  it("takes a score of -Infinity where the probability is 0", () => {
    const scores = tensor(Float64Array.of(0, -Infinity), [1, 2]);
    assertEquals(softmaxLoss(scores, tensor(Float64Array.of(1, 0), [1, 2])).loss, 0);
  });

  it("refuses rows that are not probabilities", () => {
    const wrong = (...values: number[]) => () =>
      softmaxLoss(zeros([2, 2]), tensor(Float64Array.from(values), [2, 2]));
    assertThrows(
      wrong(1, 0, 0.5, 0.6),
      RangeError,
      "y must hold probabilities: those of example 1 are 0.5,0.6",
    );
    assertThrows(wrong(1, 0, 2, -1), RangeError, "those of example 1 are 2,-1");
    assertThrows(wrong(NaN, 0, 1, 0), RangeError, "example 0 are NaN,0");
    assertThrows(() => softmaxLoss(zeros([2, 2]), zeros([2, 3])), RangeError, "[2,3]");
    assertThrows(() => softmaxLoss(x, y, { labelSmoothing: 2 }), RangeError, "labelSmoothing");
    assertThrows(() => softmaxLoss(x, y, { smoothing: 0.1 } as never), TypeError, '"smoothing"');
  });
});
