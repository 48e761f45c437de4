import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  affineBatchnormReluBackward,
  affineBatchnormReluForward,
  affineForward,
  affineLayernormReluBackward,
  affineLayernormReluForward,
  affineReluBackward,
  affineReluForward,
  batchnormForward,
  type BatchnormParams,
  convBatchnormReluBackward,
  convBatchnormReluForward,
  convBatchnormReluPoolBackward,
  convBatchnormReluPoolForward,
  convForward,
  convReluBackward,
  convReluForward,
  convReluPoolBackward,
  convReluPoolForward,
  full,
  layernormForward,
  maxPoolBackward,
  maxPoolForward,
  RandomState,
  reluBackward,
  reluForward,
  spatialBatchnormForward,
  type Tensor,
  tensor,
  useKernels,
  zeros,
} from "../../mod.ts";
import { assertGradients, assertNumbers, assertSums } from "../support/gradients.ts";

const convParam = { stride: 1, pad: 1 };
const poolParam = { poolHeight: 2, poolWidth: 2, stride: 2 };
// The cascades without normalization are linear but where relu bends or a pool's winner changes, which
// a step of 1e-4 does not reach with these numbers. So the published errors are held at that step: at
// the course's 1e-5 all of the error is the rounding of the outputs' last bits, another one for each
// order of summation.
const train = () => ({ mode: "train" }) as const;

function float32({ data, shape }: Tensor): Tensor<Float32Array> {
  return tensor(Float32Array.from(data), shape);
}

/** Asserts that float32 results are those of float64 to what float32 can hold. */
function assertClose(
  actual: Readonly<Record<string, Tensor | undefined>>,
  expected: Readonly<Record<string, Tensor | undefined>>,
  tolerance: number,
): void {
  assertEquals(Object.keys(actual), Object.keys(expected));
  for (const [name, value] of Object.entries(expected)) {
    assert(actual[name]!.data instanceof Float32Array, name);
    assertNumbers(actual[name]!.data, [...value!.data], tolerance);
  }
}

describe("affineReluForward() and affineReluBackward()", () => {
  const random = new RandomState(231);
  const x = random.randn([2, 3, 4]), w = random.randn([12, 10]), b = random.randn([10]);
  const dout = random.randn([2, 10]);
  const { out, cache } = affineReluForward(x, w, b);
  const { dx, dw, db } = affineReluBackward(dout, cache);

  it("are affine, then relu", () => {
    assertEquals(out, reluForward(affineForward(x, w, b).out).out);
  });

  it("agree with central differences", () => {
    const forward = () => affineReluForward(x, w, b).out;
    assertGradients(forward, dout, { dx: [x, dx, 1e-8], dw: [w, dw, 1e-8], db: [b, db, 1e-8] });
    assertGradients(forward, dout, {
      dx: [x, dx, 2.299579177309368e-11],
      dw: [w, dw, 8.162011105764925e-11],
      db: [b, db, 7.826724021458994e-12],
    }, 1e-4);
  });

  it("leave out dx where it is not wanted", () => {
    assertEquals(affineReluBackward(dout, cache, { dx: false }), { dw, db });
  });

  it("give float32 for float32", () => {
    const { cache } = affineReluForward(float32(x), float32(w), float32(b));
    assertClose({ ...affineReluBackward(float32(dout), cache) }, { dx, dw, db }, 1e-5);
  });

  it("refuse what does not fit", () => {
    assertThrows(() => affineReluForward(x, zeros([11, 10]), b), RangeError, "[2,3,4]");
    assertThrows(() => affineReluBackward(zeros([10, 2]), cache), RangeError, "[2,10]");
    // @ts-expect-error: a cache of another layer
    assertThrows(() => affineReluBackward(dout, { x, w, b }), TypeError, '"x"');
  });
});

describe("affine, a normalization and relu", () => {
  const random = new RandomState(7);
  const x = random.randn([6, 3, 2]), w = random.randn([6, 5]), b = random.randn([5]);
  const gamma = random.randn([5]), beta = random.randn([5]), dout = random.randn([6, 5]);

  it("are their layers in turn", () => {
    const affine = affineForward(x, w, b).out;
    const batch = reluForward(batchnormForward(affine, gamma, beta, train()).out).out;
    assertEquals(affineBatchnormReluForward(x, w, b, gamma, beta, train()).out, batch);
    const layer = reluForward(layernormForward(affine, gamma, beta).out).out;
    assertEquals(affineLayernormReluForward(x, w, b, gamma, beta).out, layer);
  });

  it("agree with central differences", () => {
    const batch = () => affineBatchnormReluForward(x, w, b, gamma, beta, train());
    const ofBatch = affineBatchnormReluBackward(dout, batch().cache);
    assertGradients(() => batch().out, dout, {
      dx: [x, ofBatch.dx, 1e-7],
      dw: [w, ofBatch.dw, 1e-7],
      dgamma: [gamma, ofBatch.dgamma, 1e-8],
      dbeta: [beta, ofBatch.dbeta, 1e-8],
    });
    // Batch normalization takes out the bias.
    assertNumbers(ofBatch.db.data, [0, 0, 0, 0, 0], 1e-14);
    const layer = () => affineLayernormReluForward(x, w, b, gamma, beta);
    const ofLayer = affineLayernormReluBackward(dout, layer().cache);
    assertGradients(() => layer().out, dout, {
      dx: [x, ofLayer.dx, 1e-7],
      dw: [w, ofLayer.dw, 1e-7],
      db: [b, ofLayer.db, 1e-7],
      dgamma: [gamma, ofLayer.dgamma, 1e-8],
      dbeta: [beta, ofLayer.dbeta, 1e-8],
    });
  });

  it("leave out dx where it is not wanted", () => {
    const batch = affineBatchnormReluForward(x, w, b, gamma, beta, train()).cache;
    const layer = affineLayernormReluForward(x, w, b, gamma, beta).cache;
    const { dx: _1, ...batchGradients } = affineBatchnormReluBackward(dout, batch);
    const { dx: _2, ...layerGradients } = affineLayernormReluBackward(dout, layer);
    assertEquals(affineBatchnormReluBackward(dout, batch, { dx: false }), batchGradients);
    assertEquals(affineLayernormReluBackward(dout, layer, { dx: false }), layerGradients);
  });
});

describe("convReluForward() and convReluBackward()", () => {
  const random = new RandomState(231);
  const x = random.randn([2, 3, 8, 8]), w = random.randn([3, 3, 3, 3]), b = random.randn([3]);
  const dout = random.randn([2, 3, 8, 8]);
  const { out, cache } = convReluForward(x, w, b, convParam);
  const { dx, dw, db } = convReluBackward(dout, cache);

  it("match the course's sums", () => {
    assertSums(out, 703.472848558353, 4377.39772172293);
    assertSums(dx, -0.534808755374755, 7485.11944924848);
    assertSums(dw, 70.0935324300978, 4925.49197834858);
    assertNumbers(db.data, [-0.35896795, 8.85971428, -0.71604551]);
  });

  it("agree with central differences, whichever kernels run", () => {
    for (const tier of ["auto", "generated", "naive"] as const) {
      using _ = useKernels(tier);
      const { dx, dw, db } = convReluBackward(dout, convReluForward(x, w, b, convParam).cache);
      const forward = () => convReluForward(x, w, b, convParam).out;
      assertGradients(forward, dout, { dx: [x, dx, 1e-8], dw: [w, dw, 1e-8], db: [b, db, 1e-8] });
      assertGradients(forward, dout, {
        dx: [x, dx, 1.5218619980349303e-09],
        dw: [w, dw, 2.702022646099404e-10],
        db: [b, db, 1.451272393591721e-10],
      }, 1e-4);
    }
  });

  it("are convolution, then relu, and leave out dx where it is not wanted", () => {
    assertEquals(out, reluForward(convForward(x, w, b, convParam).out).out);
    assertEquals(convReluBackward(dout, cache, { dx: false }), { dw, db });
  });

  it("give float32 for float32", () => {
    const { cache } = convReluForward(float32(x), float32(w), float32(b), convParam);
    assertClose({ ...convReluBackward(float32(dout), cache) }, { dx, dw, db }, 1e-4);
  });
});

describe("convReluPoolForward() and convReluPoolBackward()", () => {
  const random = new RandomState(231);
  const x = random.randn([2, 3, 16, 16]), w = random.randn([3, 3, 3, 3]), b = random.randn([3]);
  const dout = random.randn([2, 3, 8, 8]);
  const { out, cache } = convReluPoolForward(x, w, b, convParam, poolParam);
  const { dx, dw, db } = convReluPoolBackward(dout, cache);

  it("match the course's sums", () => {
    assertSums(out, 1972.553567284, 15437.8982111286);
    assertSums(dx, -114.107601250207, 9561.25023427356);
    assertSums(dw, -122.910883792025, 8295.45871702428);
    assertNumbers(db.data, [-21.23321766, -0.5568389, -0.09641202]);
  });

  it("agree with central differences, whichever kernels run", () => {
    for (const tier of ["auto", "generated", "naive"] as const) {
      using _ = useKernels(tier);
      const { cache } = convReluPoolForward(x, w, b, convParam, poolParam);
      const { dx, dw, db } = convReluPoolBackward(dout, cache);
      const forward = () => convReluPoolForward(x, w, b, convParam, poolParam).out;
      assertGradients(forward, dout, { dx: [x, dx, 2e-8], dw: [w, dw, 1e-8], db: [b, db, 1e-8] });
      assertGradients(forward, dout, {
        dx: [x, dx, 9.591132621921372e-09],
        dw: [w, dw, 5.802391137330214e-09],
        db: [b, db, 1.0146343411762047e-09],
      }, 1e-4);
    }
  });

  it("are convolution, relu and pool in turn, with relu's mask where relu stands", () => {
    const rectified = reluForward(convForward(x, w, b, convParam).out);
    const pool = maxPoolForward(rectified.out, poolParam);
    assertEquals(out, pool.out);
    // Behind the pool instead, and with ties: many windows hold nothing above 0.
    const masked = reluBackward(maxPoolBackward(dout, pool.cache), rectified.cache);
    assertEquals(maxPoolBackward(reluBackward(dout, cache.relu), cache.pool), masked);
  });

  it("leave out dx where it is not wanted", () => {
    assertEquals(convReluPoolBackward(dout, cache, { dx: false }), { dw, db });
  });

  it("give float32 for float32", () => {
    const forward = convReluPoolForward(float32(x), float32(w), float32(b), convParam, poolParam);
    assertClose({ ...convReluPoolBackward(float32(dout), forward.cache) }, { dx, dw, db }, 1e-4);
  });

  it("refuse what does not fit", () => {
    const large = { ...poolParam, poolHeight: 17 };
    assertThrows(() => convReluPoolForward(x, w, b, convParam, large), RangeError, "17");
    assertThrows(() => convReluPoolBackward(zeros([2, 3, 16, 16]), cache), RangeError, "[2,3,8,8]");
    // @ts-expect-error: a cache of another cascade
    assertThrows(() => convReluPoolBackward(dout, { conv: cache.conv }), TypeError, "cache must");
  });
});

describe("convBatchnormReluForward() and convBatchnormReluPoolForward()", () => {
  const random = new RandomState(231);
  const x = random.randn([3, 2, 8, 8]), w = random.randn([4, 2, 5, 5]), b = random.randn([4]);
  const gamma = random.randn([4]), beta = random.randn([4]);
  const dout = random.randn([3, 4, 8, 8]), dpool = random.randn([3, 4, 4, 4]);
  const same = { stride: 1, pad: 2 };
  const conv = convForward(x, w, b, same).out;

  it("are their layers in turn", () => {
    const rectified = reluForward(spatialBatchnormForward(conv, gamma, beta, train()).out).out;
    const { out } = convBatchnormReluForward(x, w, b, gamma, beta, same, train());
    assertEquals(out, rectified);
    const pooled = maxPoolForward(rectified, poolParam).out;
    assertEquals(
      convBatchnormReluPoolForward(x, w, b, gamma, beta, same, train(), poolParam).out,
      pooled,
    );
  });

  it("agree with central differences", () => {
    const plain = () => convBatchnormReluForward(x, w, b, gamma, beta, same, train());
    const pooled = () =>
      convBatchnormReluPoolForward(x, w, b, gamma, beta, same, train(), poolParam);
    for (
      const [forward, df, { dx, dw, db, dgamma, dbeta }] of [
        [plain, dout, convBatchnormReluBackward(dout, plain().cache)],
        [pooled, dpool, convBatchnormReluPoolBackward(dpool, pooled().cache)],
      ] as const
    ) {
      assertGradients(() => forward().out, df, {
        dx: [x, dx, 1e-6],
        dw: [w, dw, 1e-6],
        dgamma: [gamma, dgamma, 1e-8],
        dbeta: [beta, dbeta, 1e-8],
      });
      // Batch normalization takes out the bias.
      assertNumbers(db.data, [0, 0, 0, 0], 1e-12);
    }
  });

  it("leave out dx where it is not wanted, and give float32 for float32", () => {
    const { cache } = convBatchnormReluPoolForward(
      ...[x, w, b, gamma, beta] as const,
      ...[same, train(), poolParam] as const,
    );
    const exact = convBatchnormReluPoolBackward(dpool, cache);
    const { dx: _, ...rest } = exact;
    assertEquals(convBatchnormReluPoolBackward(dpool, cache, { dx: false }), rest);
    const single = convBatchnormReluPoolForward(
      ...[float32(x), float32(w), float32(b), float32(gamma), float32(beta)] as const,
      ...[same, train(), poolParam] as const,
    );
    assertClose(
      { ...convBatchnormReluPoolBackward(float32(dpool), single.cache) },
      { ...exact },
      1e-4,
    );
  });

  it("learn running statistics, but nothing where an argument is refused", () => {
    const bnParam: BatchnormParams<Float64Array> = { mode: "train" };
    const large = { ...poolParam, poolWidth: 9 };
    assertThrows(
      () => convBatchnormReluPoolForward(x, w, b, gamma, beta, same, bnParam, large),
      RangeError,
      "9",
    );
    assertThrows(
      () => convBatchnormReluForward(x, w, b, full([3], 1), beta, same, bnParam),
      RangeError,
      "gamma",
    );
    assertEquals(bnParam, { mode: "train" });
    convBatchnormReluPoolForward(x, w, b, gamma, beta, same, bnParam, poolParam);
    assertEquals(bnParam.runningMean?.shape, [4]);
  });
});
