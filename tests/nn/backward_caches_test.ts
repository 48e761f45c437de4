/** Every backward pass says what is wrong with a cache that is not its own. */

import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as library from "../../mod.ts";

const random = new library.RandomState(3);
const x = random.randn([2, 4, 6, 6]), w = random.randn([3, 4, 3, 3]), b = random.randn([3]);
const sequence = random.randn([2, 4, 9]), sequenceW = random.randn([3, 4, 3]);
const flat = random.randn([5, 4]), flatW = random.randn([4, 3]);
const gamma = random.randn([3]), beta = random.randn([3]);
const norms = [random.randn([4]), random.randn([4])] as const;
const groupNorms = [random.randn([1, 4, 1, 1]), random.randn([1, 4, 1, 1])] as const;
const convParam = { stride: 1, pad: 1 };
const poolParam = { poolHeight: 2, poolWidth: 2, stride: 2 };
const bnParam = () => ({ mode: "train" as const });

type Backward = (dout: library.Tensor, cache: unknown) => unknown;
interface Forward {
  readonly out: library.Tensor;
  readonly cache: object;
}

/** The forward pass of each layer, under the name that its functions begin with. */
const forwards: Readonly<Record<string, () => Forward>> = {
  affine: () => library.affineForward(flat, flatW, b),
  affineRelu: () => library.affineReluForward(flat, flatW, b),
  affineBatchnormRelu: () =>
    library.affineBatchnormReluForward(flat, flatW, b, gamma, beta, bnParam()),
  affineLayernormRelu: () => library.affineLayernormReluForward(flat, flatW, b, gamma, beta),
  averagePool: () => library.averagePoolForward(x, poolParam),
  averagePool1d: () => library.averagePool1dForward(sequence, { poolSize: 2, stride: 2 }),
  batchnorm: () => library.batchnormForward(flat, ...norms, bnParam()),
  conv: () => library.convForward(x, w, b, convParam),
  conv1d: () => library.conv1dForward(sequence, sequenceW, b, { pad: 1 }),
  convTranspose: () =>
    library.convTransposeForward(x, random.randn([4, 3, 2, 2]), b, { stride: 2 }),
  convRelu: () => library.convReluForward(x, w, b, convParam),
  convReluPool: () => library.convReluPoolForward(x, w, b, convParam, poolParam),
  convBatchnormRelu: () =>
    library.convBatchnormReluForward(x, w, b, gamma, beta, convParam, bnParam()),
  convBatchnormReluPool: () =>
    library.convBatchnormReluPoolForward(x, w, b, gamma, beta, convParam, bnParam(), poolParam),
  dropout: () => library.dropoutForward(flat, { mode: "train", p: 0.5, seed: 1 }),
  globalAverage: () => library.globalAverageForward(x),
  globalMax: () => library.globalMaxForward(x),
  layernorm: () => library.layernormForward(flat, ...norms, {}),
  maxPool: () => library.maxPoolForward(x, poolParam),
  maxPool1d: () => library.maxPool1dForward(sequence, { poolSize: 2, stride: 2 }),
  relu: () => library.reluForward(flat),
  spatialBatchnorm: () => library.spatialBatchnormForward(x, ...norms, bnParam()),
  spatialGroupnorm: () => library.spatialGroupnormForward(x, ...groupNorms, 2, {}),
};

const functions = library as unknown as Readonly<Record<string, Backward>>;
/** What is known of a cache: its keys, and for normalizations the layer that they name. */
const kindOf = (cache: object) =>
  Object.keys(cache).toSorted().join() + ("layer" in cache ? cache.layer : "");

describe("A backward pass", () => {
  it("is tried for every layer there is", () => {
    const backward = Object.keys(library).filter((name) => /Backward$/.test(name));
    assertEquals(
      backward.map((name) => name.replace("Backward", "")).toSorted(),
      [
        ...Object.keys(forwards),
      ].toSorted(),
    );
  });

  for (const [name, forward] of Object.entries(forwards)) {
    it(`of ${name} takes its own cache alone`, () => {
      const { out, cache } = forward(), backward = functions[`${name}Backward`];
      assert(typeof backward(out, cache) === "object");
      for (const bad of [null, undefined, 5, [], {}]) {
        assertThrows(() => backward(out, bad), TypeError, "cache must");
      }
      for (const [other, otherForward] of Object.entries(forwards)) {
        const { cache: foreign } = otherForward();
        if (kindOf(foreign) === kindOf(cache)) continue;
        const { message } = assertThrows(() => backward(out, foreign), TypeError);
        assert(/^cache (must|has)/.test(message), `${name} with the cache of ${other}: ${message}`);
      }
    });
  }

  for (const [name, forward] of Object.entries(forwards)) {
    it(`of ${name} leaves its cache as it is, gives the same again, and takes a clone`, () => {
      const { out, cache } = forward(), backward = functions[`${name}Backward`];
      const clone = structuredClone(cache), gradients = structuredClone(backward(out, cache));
      assertEquals(cache, clone);
      assertEquals(backward(out, cache), gradients);
      assertEquals(backward(out, clone), gradients);
    });
  }

  it("sees what was written to tensors since, but not to parameters", () => {
    const w = random.randn([3, 4, 3, 3]), given = { stride: 1, pad: 1 };
    const { out, cache } = library.convForward(x, w, b, given);
    const { dx } = library.convBackward(out, cache);
    given.pad = 0;
    assertEquals(library.convBackward(out, cache).dx, dx);
    w.data.fill(0);
    assertEquals(library.convBackward(out, cache).dx.data, dx.data.map(() => 0));
  });

  it("of relu checks the output that its cache holds", () => {
    const backward = functions.reluBackward;
    assertThrows(() => backward(flat, { out: [1, 2] }), TypeError, "cache.out must be a tensor");
    const short = { data: new Float64Array(3), shape: [5, 4] };
    assertThrows(() => backward(flat, { out: short }), RangeError, "cache.out");
  });
});
