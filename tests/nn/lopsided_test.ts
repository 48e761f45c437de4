/** Layers, nets and checkpoints at sizes far apart, against definitions that are written out here. */

import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  batchnormBackward,
  batchnormForward,
  type Block,
  type Checkpoint,
  ConvNet,
  decodeCheckpoint,
  dropoutBackward,
  dropoutForward,
  type DType,
  encodeCheckpoint,
  globalAverageBackward,
  globalAverageForward,
  layernormBackward,
  layernormForward,
  RandomState,
  reluBackward,
  reluForward,
  softmaxLoss,
  spatialBatchnormBackward,
  spatialBatchnormForward,
  spatialGroupnormBackward,
  spatialGroupnormForward,
  svmLoss,
  type Tensor,
  tensor,
  useKernels,
} from "../../mod.ts";
import { assertSameBits } from "../support/bits.ts";
import { LARGEST, lopsided } from "../support/sizes.ts";
import { SEED } from "../support/kernels.ts";

const dtypes: readonly DType[] = ["float32", "float64"];
const NUMBERS = 200_000;

/** A tensor whose type does not say its dtype. */
const randn = (random: RandomState, shape: readonly number[], dtype: DType): Tensor =>
  random.randn(shape, dtype);

/** Tries a property on random sizes of both dtypes. */
function check(
  limits: readonly number[],
  property: (sizes: number[], dtype: DType, random: RandomState) => void,
  numRuns = 40,
): void {
  const cases = fc.tuple(lopsided(limits, NUMBERS), fc.constantFrom(...dtypes), fc.nat(2 ** 31));
  fc.assert(
    fc.property(cases, ([sizes, dtype, seed]) => property(sizes, dtype, new RandomState(seed))),
    { numRuns, seed: SEED },
  );
}

/** Holds numbers against expected ones, to a part of the largest of these. */
function assertNear(
  { data }: Tensor,
  expected: ArrayLike<number>,
  what: string,
  tolerance = data instanceof Float32Array ? 1e-5 : 1e-10,
): void {
  assertEquals(data.length, expected.length, what);
  let scale = 1;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]));
  for (let i = 0; i < data.length; i++) {
    const near = Math.abs(data[i] - expected[i]) <= tolerance * scale;
    if (!near) throw new Error(`${what}[${i}] is ${data[i]}, by the definition ${expected[i]}`);
  }
}

/** The normalization of numbers in groups, forward and backward, as its formulas have it. */
function normalizeByDefinition(
  x: Tensor,
  dout: Tensor,
  gamma: Tensor,
  beta: Tensor,
  groupOf: (i: number) => number,
  channelOf: (i: number) => number,
) {
  const { length } = x.data, eps = 1e-5;
  const groups = 1 + groupOf(length - 1);
  const zeros = () => new Float64Array(groups);
  const count = zeros(), mean = zeros(), variance = zeros(), first = zeros(), second = zeros();
  for (let i = 0; i < length; i++) count[groupOf(i)]++;
  for (let i = 0; i < length; i++) mean[groupOf(i)] += x.data[i] / count[groupOf(i)];
  for (let i = 0; i < length; i++) {
    variance[groupOf(i)] += (x.data[i] - mean[groupOf(i)]) ** 2 / count[groupOf(i)];
  }
  const xhat = (i: number) =>
    (x.data[i] - mean[groupOf(i)]) / Math.sqrt(variance[groupOf(i)] + eps);
  const dxhat = (i: number) => dout.data[i] * gamma.data[channelOf(i)];
  const dgamma = new Float64Array(gamma.data.length), dbeta = new Float64Array(gamma.data.length);
  for (let i = 0; i < length; i++) {
    dgamma[channelOf(i)] += dout.data[i] * xhat(i);
    dbeta[channelOf(i)] += dout.data[i];
    first[groupOf(i)] += dxhat(i) / count[groupOf(i)];
    second[groupOf(i)] += dxhat(i) * xhat(i) / count[groupOf(i)];
  }
  const out = Float64Array.from(
    { length },
    (_, i) => gamma.data[channelOf(i)] * xhat(i) + beta.data[channelOf(i)],
  );
  const dx = Float64Array.from({ length }, (_, i) => {
    const g = groupOf(i);
    return (dxhat(i) - first[g] - xhat(i) * second[g]) / Math.sqrt(variance[g] + eps);
  });
  return { out, dx, dgamma, dbeta };
}

describe(`Normalizations at lopsided sizes, seed ${SEED}`, () => {
  const train = () => ({ mode: "train" as const });

  it("normalize columns, rows, channels and groups as the formulas have it", () => {
    check([LARGEST, LARGEST], ([N, D], dtype, random) => {
      const x = randn(random, [N, D], dtype), dout = randn(random, [N, D], dtype);
      const gamma = randn(random, [D], dtype), beta = randn(random, [D], dtype);
      const column = (i: number) => i % D, row = (i: number) => Math.floor(i / D);
      const batch = normalizeByDefinition(x, dout, gamma, beta, column, column);
      const ofBatch = batchnormForward(x, gamma, beta, train());
      assertNear(ofBatch.out, batch.out, "batchnorm out");
      const batchGradients = batchnormBackward(dout, ofBatch.cache);
      assertNear(batchGradients.dx, batch.dx, "batchnorm dx");
      assertNear(batchGradients.dgamma, batch.dgamma, "batchnorm dgamma");
      assertNear(batchGradients.dbeta, batch.dbeta, "batchnorm dbeta");
      const layer = normalizeByDefinition(x, dout, gamma, beta, row, column);
      const ofLayer = layernormForward(x, gamma, beta, {});
      assertNear(ofLayer.out, layer.out, "layernorm out");
      const layerGradients = layernormBackward(dout, ofLayer.cache);
      assertNear(layerGradients.dx, layer.dx, "layernorm dx");
      assertNear(layerGradients.dgamma, layer.dgamma, "layernorm dgamma");
      assertNear(layerGradients.dbeta, layer.dbeta, "layernorm dbeta");
    });
    const limits = [LARGEST, 300, 300, LARGEST, LARGEST];
    check(limits, ([N, G, perGroup, H, W], dtype, random) => {
      const C = G * perGroup, P = H * W, shape = [N, C, H, W];
      const x = randn(random, shape, dtype), dout = randn(random, shape, dtype);
      const gamma = randn(random, [1, C, 1, 1], dtype), beta = randn(random, [1, C, 1, 1], dtype);
      const [flatGamma, flatBeta] = [gamma, beta].map(({ data }) => tensor(data, [C]));
      const channel = (i: number) => Math.floor(i / P) % C;
      const batch = normalizeByDefinition(x, dout, gamma, beta, channel, channel);
      const ofBatch = spatialBatchnormForward(x, flatGamma, flatBeta, train());
      assertNear(ofBatch.out, batch.out, "spatial batchnorm out");
      assertNear(spatialBatchnormBackward(dout, ofBatch.cache).dx, batch.dx, "its dx");
      const groupOf = (i: number) => Math.floor(i / (P * perGroup));
      const group = normalizeByDefinition(x, dout, gamma, beta, groupOf, channel);
      const ofGroup = spatialGroupnormForward(x, gamma, beta, G, {});
      assertNear(ofGroup.out, group.out, "groupnorm out");
      const gradients = spatialGroupnormBackward(dout, ofGroup.cache);
      assertNear(gradients.dx, group.dx, "groupnorm dx");
      assertNear(gradients.dgamma, group.dgamma, "groupnorm dgamma");
      assertNear(gradients.dbeta, group.dbeta, "groupnorm dbeta");
    });
  });
});

describe(`Layers without weights at lopsided sizes, seed ${SEED}`, () => {
  it("relu and dropout work element by element", () => {
    check([LARGEST, LARGEST, LARGEST, LARGEST], (shape, dtype, random) => {
      const x = randn(random, shape, dtype), dout = randn(random, shape, dtype);
      const relu = reluForward(x);
      assertSameBits(relu.out.data, x.data.map((v) => Math.max(0, v)));
      const dx = reluBackward(dout, relu.cache).data;
      assertSameBits(dx, dout.data.map((d, i) => x.data[i] > 0 ? d : 0));
      const { out, cache } = dropoutForward(x, { mode: "train", p: 0.75, seed: 3 });
      const mask = new RandomState(3);
      const kept = Float64Array.from(x.data, () => mask.rand() < 0.75 ? 1 / 0.75 : 0);
      assertEquals(out.data, x.data.map((v, i) => v * kept[i]));
      assertEquals(dropoutBackward(dout, cache).data, dout.data.map((d, i) => d * kept[i]));
    });
  });

  it("the global average and its gradient are those of each channel", () => {
    check([LARGEST, LARGEST, LARGEST, LARGEST], ([N, C, H, W], dtype, random) => {
      const x = randn(random, [N, C, H, W], dtype), P = H * W;
      const { out, cache } = globalAverageForward(x);
      const means = new Float64Array(N * C);
      x.data.forEach((v, i) => means[Math.floor(i / P)] += v / P);
      assertNear(out, means, "mean");
      assertNear(
        globalAverageBackward(out, cache),
        x.data.map((_, i) => {
          return out.data[Math.floor(i / P)] / P;
        }),
        "dx",
      );
    });
  });

  it("losses of few and of many classes are those of each row", () => {
    check([LARGEST, LARGEST], ([N, C], dtype, random) => {
      const x = randn(random, [N, C], dtype), y = random.randint(0, C, N);
      let softmax = 0, svm = 0;
      const softmaxDx = new Float64Array(N * C), svmDx = new Float64Array(N * C);
      for (let n = 0; n < N; n++) {
        const row = x.data.subarray(n * C, (n + 1) * C), right = row[y[n]];
        let total = 0;
        for (const score of row) total += Math.exp(score);
        softmax -= Math.log(Math.exp(right) / total) / N;
        for (let c = 0; c < C; c++) {
          softmaxDx[n * C + c] += Math.exp(row[c]) / total / N;
          if (c === y[n] || row[c] - right + 1 <= 0) continue;
          svm += (row[c] - right + 1) / N;
          svmDx[n * C + c] += 1 / N;
          svmDx[n * C + y[n]] -= 1 / N;
        }
        softmaxDx[n * C + y[n]] -= 1 / N;
      }
      const ofSoftmax = softmaxLoss(x, y), ofSvm = svmLoss(x, y);
      assert(Math.abs(ofSoftmax.loss - softmax) <= 1e-9 * Math.max(1, softmax));
      assert(Math.abs(ofSvm.loss - svm) <= 1e-9 * Math.max(1, svm));
      // Gradients are parts of 1 / N.
      assertNear(ofSoftmax.dx, softmaxDx, "softmax dx", 1e-5 / N);
      assertNear(ofSvm.dx, svmDx, "svm dx", 1e-6 / N);
    });
  });
});

/** A block that an input of some size can have. */
const anyBlock = fc.oneof(
  fc.record({
    conv: fc.integer({ min: 1, max: 20 }),
    kernel: fc.constantFrom(1, 2, 3, 4, 5, 7),
    stride: fc.constantFrom(1, 1, 1, 2, 3, 50),
    batchnorm: fc.boolean(),
    pool: fc.constantFrom(undefined, undefined, 1, 2, 3),
    dropout: fc.constantFrom(1, 0.7),
  }),
  fc.record({
    affine: fc.constantFrom(1, 2, 9, 40, 300),
    norm: fc.constantFrom("none", "batchnorm", "layernorm"),
    dropout: fc.constantFrom(1, 0.7),
  }),
);

describe(`Random nets, seed ${SEED}`, () => {
  it("give the naive loops' losses and gradients, whatever their depth and sizes", () => {
    let depth = 0;
    const cases = fc.record({
      sizes: lopsided([3, 60, 1500, 1500], 1500),
      blocks: fc.array(anyBlock, { minLength: 0, maxLength: 8 }),
      average: fc.boolean(),
      classes: fc.constantFrom(1, 2, 10, 300),
      reg: fc.constantFrom(0, 0.1),
      seed: fc.nat(1000),
    });
    const property = fc.property(cases, ({ sizes, blocks, average, classes, reg, seed }) => {
      const [N, ...inputDim] = sizes;
      const random = new RandomState(seed);
      const convs = blocks.filter((block) => "conv" in block);
      const affines = blocks.filter((block) => "affine" in block).map(({ norm, ...rest }) => {
        return norm === "none" ? rest : { ...rest, [norm]: true };
      });
      const averages = average ? [{ globalAverage: true } as const] : [];
      const build = (count: number): ConvNet<"float64"> => {
        const list: Block[] = [...convs.slice(0, count), ...averages, ...affines];
        try {
          return new ConvNet({ inputDim, blocks: list, numClasses: classes, reg, seed, random });
        } catch (error) {
          // A kernel or a pool is larger than what is left of a plane: without the last one, then.
          if (error instanceof RangeError && count > 0) return build(count - 1);
          throw error;
        }
      };
      const net = build(convs.length);
      depth = Math.max(depth, Object.keys(net.params).length / 2);
      const x = random.randn([N + 1, ...inputDim]), y = random.randint(0, classes, N + 1);
      const by = (kernels: "auto" | "generated" | "naive") => {
        using _ = useKernels(kernels);
        return net.loss(x, y);
      };
      const expected = by("naive");
      for (const tier of ["auto", "generated"] as const) {
        const { loss, grads } = by(tier);
        assert(Math.abs(loss - expected.loss) <= 1e-8 * Math.max(1, expected.loss));
        assertEquals(Object.keys(grads), Object.keys(expected.grads));
        assertEquals(Object.keys(grads).toSorted(), Object.keys(net.params).toSorted());
        for (const [name, gradient] of Object.entries(grads)) {
          assertEquals(gradient.shape, net.params[name].shape);
          assertNear(gradient, expected.grads[name].data, `${tier} ${name}`, 1e-7);
        }
      }
    });
    fc.assert(property, { numRuns: 40, seed: SEED });
    assert(depth >= 4, `the deepest net had ${depth} layers with weights`);
  });
});

describe(`Checkpoints, seed ${SEED}`, () => {
  const specials = [NaN, -0, 0, Infinity, -Infinity, 5e-324, Number.MAX_VALUE, -1.5];
  const anyTensor = fc.record({
    shape: lopsided([LARGEST, 300, 300], 3000),
    dtype: fc.constantFrom(...dtypes),
    first: fc.constantFrom(...specials),
    seed: fc.nat(1000),
  }).map(({ shape, dtype, first, seed }) => {
    const drawn = randn(new RandomState(seed), shape, dtype);
    drawn.data[0] = first;
    return drawn;
  });
  const name = fc.string({ minLength: 1, maxLength: 30, unit: "grapheme" }).filter((text) =>
    !text.includes(".") && text !== "__proto__" && !text.startsWith("$")
  );
  const tensors = fc.dictionary(name, anyTensor, { maxKeys: 8, noNullPrototype: true });
  const history = fc.array(fc.constantFrom(...specials), { maxLength: 300 });
  const anyCheckpoint: fc.Arbitrary<Checkpoint> = fc.record({
    iteration: fc.nat(2 ** 31 - 1),
    checkPending: fc.boolean(),
    updateRule: fc.constantFrom("sgd", "adam"),
    batchSize: fc.integer({ min: 1, max: 1e6 }),
    numTrain: fc.integer({ min: 1, max: 1e9 }),
    params: tensors,
    optimConfigs: fc.constant({}),
    random: fc.nat(2 ** 31).map((seed) => new RandomState(seed).getState()),
    modelState: fc.option(tensors.map((statistics) => ({ statistics }))),
    lossHistory: history,
    trainAccHistory: history,
    valAccHistory: history,
    bestValAcc: fc.constantFrom(...specials),
    bestParams: fc.option(tensors),
    bestModelState: fc.option(tensors.map((statistics) => ({ statistics }))),
  }, { noNullPrototype: true });

  it("come back from their bytes with every bit, whatever their sizes and names", () => {
    const property = fc.property(anyCheckpoint, (checkpoint) => {
      assertSameBits(decodeCheckpoint(encodeCheckpoint(checkpoint)), checkpoint);
    });
    fc.assert(property, { numRuns: 100, seed: SEED });
  });
});
