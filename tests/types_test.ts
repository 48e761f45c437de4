import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertThrows } from "@std/assert";
import {
  type Block,
  BlockNet,
  type Model,
  RandomState,
  Solver,
  type SolverOptions,
  type Tensor,
  tensor,
  TwoLayerNet,
  type UpdateRule,
} from "../mod.ts";
import { data, NoisyNet, quiet } from "./support/small_nets.ts";

/** What can be an update rule: each type-checks, so each must make a solver. */
const rules: NonNullable<SolverOptions["updateRule"]>[] = [
  ...["sgd", "sgdMomentum", "sgdNesterovMomentum", "adagrad", "rmsprop", "adam", "adamw"] as const,
  ...["sgd_momentum", "sgd_nesterov_momentum"] as const,
  (w, _dw, config = {}) => ({ nextW: w, config }),
];

/** Blocks that type-check. */
const blocks: Block[] = [
  { conv: 4 },
  { conv: 4, kernel: 5, stride: 2, pad: "same", batchnorm: true, pool: 2, dropout: 0.5 },
  { conv: 4, pad: [1, 2], affine: undefined, globalAverage: undefined, layernorm: undefined },
  { globalAverage: true },
  { globalAverage: true, conv: undefined, pool: undefined, batchnorm: undefined },
  { affine: 4 },
  { affine: 4, batchnorm: true, layernorm: false, dropout: 0.5 },
  { affine: 4, batchnorm: false, layernorm: true, pool: undefined, conv: undefined },
];

/** Blocks that do not, which are refused when a net is made of them. */
const wrongBlocks: Block[] = [
  // @ts-expect-error: one normalization is enough
  { affine: 4, batchnorm: true, layernorm: true },
  // @ts-expect-error: layer normalization is for vectors
  { conv: 4, layernorm: true },
  // @ts-expect-error: a block has one kind
  { conv: 4, affine: 4 },
  // @ts-expect-error: a pool is for images
  { affine: 4, pool: 2 },
  // @ts-expect-error: a global average has no options
  { globalAverage: true, dropout: 0.5 },
  // @ts-expect-error: it is there or not
  { globalAverage: false },
  // @ts-expect-error: no block
  {},
  // @ts-expect-error: no option
  { conv: 4, strides: 2 },
];

describe("What type-checks", () => {
  it("as an update rule makes a solver", () => {
    for (const updateRule of rules) new Solver(new NoisyNet(), data, { ...quiet, updateRule });
  });
  it("as a block makes a net", () => {
    for (const block of blocks) {
      const net = new BlockNet({ inputDim: [2, 8, 8], blocks: [block], numClasses: 3 });
      assertEquals(net.loss(new RandomState(0).randn([2, 2, 8, 8])).shape, [2, 3]);
    }
  });
  it("not as a block is refused", () => {
    for (const block of wrongBlocks) {
      assertThrows(() => new BlockNet({ inputDim: [2, 8, 8], blocks: [block] }), TypeError);
    }
  });
  it("as an input's size makes a net", () => {
    assertEquals(new TwoLayerNet({ inputDim: [1, 2, 3] }).params.W1.shape, [6, 100]);
  });
  it("not as an update rule is refused", () => {
    // @ts-expect-error: no such rule
    const options: SolverOptions = { updateRule: "sgdmomentum" };
    assertThrows(() => new Solver(new NoisyNet(), data, options), TypeError, "updateRule must");
  });
});

describe("Types", () => {
  it("tell a tensor's dtype", () => {
    const double: Tensor<Float64Array> = tensor([[1, 2]]);
    const single: Tensor<Float32Array> = tensor([1, 2], [1, 2], "float32");
    // @ts-expect-error: float64 unless another is asked for
    const wrong: Tensor<Float32Array> = tensor([1, 2]);
    assertEquals([double, single, wrong].map(({ data }) => data.length), [2, 2, 2]);
  });
  it("take a model of one dtype where any will do", () => {
    const model: Model<Float32Array> = new TwoLayerNet({ dtype: "float32" });
    assertEquals(model.params.W1.data.constructor, Float32Array);
  });
});

describe("An update rule", () => {
  it("is told the name of the parameter, which it need not take", () => {
    const names = new Set<string | undefined>();
    const named: UpdateRule = (w, _dw, config = {}, name) => {
      names.add(name);
      return { nextW: w, config };
    };
    const plain = <A extends Float32Array | Float64Array>(w: Tensor<A>) => ({
      nextW: w,
      config: {},
    });
    const model = new NoisyNet();
    for (const updateRule of [named, plain]) {
      new Solver(model, data, { ...quiet, updateRule, numEpochs: 1 }).train();
    }
    assertEquals([...names].sort(), Object.keys(model.params).sort());
  });
});
