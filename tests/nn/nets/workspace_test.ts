import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import {
  affine,
  averagePool,
  batchnorm,
  concat,
  conv,
  convTranspose,
  dropout,
  flatten,
  type FloatArray,
  gelu,
  globalAverage,
  type LayerDefinition,
  leakyRelu,
  maxPool,
  Net,
  type Planner,
  RandomState,
  relu,
  residual,
  sequential,
  softmaxLoss,
  type Tensor,
  useKernels,
} from "../../../mod.ts";
import { Workspace } from "../../../nn/workspace.ts";
import { assertSameBits } from "../../support/bits.ts";
import { watchArrays } from "../../support/watch.ts";

/** Gives its input, as a layer of a user's own does: a net with it makes every array anew. */
const own: LayerDefinition = {
  type: "own",
  plan: (outShape) => ({
    outShape,
    forward: (x) => ({ out: x, backward: (dout) => ({ dx: dout }) }),
  }),
};

/** A layer, and those inside it, without a word on which arrays may be written over or used again. */
function cautious({ type, args, plan }: LayerDefinition): LayerDefinition {
  return {
    type,
    args,
    plan(inShape, planner) {
      const inner: Planner = {
        dtype: planner.dtype,
        path: planner.path,
        plan: (layer, ...rest) => planner.plan(cautious(layer), ...rest),
      };
      const planned = plan(inShape, inner);
      return { ...planned, releases: undefined, ownsOut: undefined, ownsDx: undefined };
    },
  };
}

const block = (filters: number) =>
  residual(
    sequential(conv(filters, { bias: false }), batchnorm(), relu(), conv(filters), batchnorm()),
    sequential(conv(filters, { kernel: 1 }), batchnorm(), relu()),
  );

/** Nets whose layers write over their inputs, give their inputs, or share them. */
const nets: Readonly<Record<string, readonly LayerDefinition[]>> = {
  "convolutions, pools and relu": [
    ...[conv(6), maxPool(2), relu(), batchnorm(), gelu(), conv(4), relu(), averagePool(2)],
    ...[flatten(), affine(12), relu(), affine(3)],
  ],
  "residual blocks": [
    ...[block(4), relu(), residual(sequential(relu(), conv(4))), gelu(), residual(sequential())],
    ...[block(4), globalAverage(), affine(3)],
  ],
  "layers that give their input": [
    ...[sequential(), conv(4), dropout(1), sequential(relu()), flatten(), sequential(flatten())],
    ...[leakyRelu(), residual(sequential(flatten(), gelu())), affine(3)],
  ],
  "branches side by side": [
    ...[concat(sequential(), sequential(conv(2), gelu()), sequential(relu(), conv(3)))],
    ...[batchnorm(), relu(), concat(sequential(), sequential()), maxPool(2), affine(3)],
  ],
};

/** Steps of a net: losses and gradients. */
function steps(layers: readonly LayerDefinition[], dtype: "float32" | "float64") {
  const random = new RandomState(3);
  const net = new Net({ inputDim: [3, 40, 40], layers, dtype, random, seed: 5 });
  const results: unknown[] = [];
  // Batches of several sizes, as at the end of an epoch.
  for (const N of [4, 4, 3, 4, 4]) {
    const x = random.randn([N, 3, 40, 40], dtype), before = x.data.slice();
    const { loss, grads } = net.loss(x as Tensor<never>, random.randint(0, 3, N));
    assertSameBits(x.data, before);
    results.push(loss, grads);
    for (const [name, { data }] of Object.entries(grads)) {
      const w: FloatArray = net.params[name].data;
      for (let i = 0; i < w.length; i++) w[i] -= 0.01 * data[i];
    }
  }
  return results;
}

describe("A net whose iterations use their arrays again", () => {
  for (const [name, layers] of Object.entries(nets)) {
    for (const dtype of ["float32", "float64"] as const) {
      it(`computes what one does that makes them anew: ${name}, ${dtype}`, () => {
        assertSameBits(steps(layers, dtype), steps(layers.map(cautious), dtype));
      });
    }
  }

  for (const kernels of ["generated", "naive"] as const) {
    it(`computes the same by ${kernels} kernels`, () => {
      const layers = [
        ...[conv(6), maxPool(3, { stride: 4 }), convTranspose(6, { stride: 3 }), relu()],
        ...[averagePool(2, { stride: 3 }), affine(12), relu(), affine(3)],
      ];
      using _ = useKernels(kernels);
      assertSameBits(steps(layers, "float64"), steps(layers.map(cautious), "float64"));
    });
  }

  const layers = [conv(8), batchnorm(), gelu(), conv(8), relu(), maxPool(2), affine(3)];
  const x = new RandomState(0).randn([4, 3, 32, 32]), y = [0, 1, 2, 0];
  const large = (run: () => void) => watchArrays(run).filter((bytes) => bytes >= 100_000);

  it("makes no large array but the first time, and after it was used to predict", () => {
    const net = new Net({ inputDim: [3, 32, 32], layers });
    assert(large(() => net.loss(x, y)).length > 0);
    assertEquals(large(() => net.loss(x, y)), []);
    net.predict(x);
    assert(large(() => net.loss(x, y)).length > 0);
    assertEquals(large(() => net.loss(x, y)), []);
  });

  it("makes them anew if a layer is not the library's", () => {
    const net = new Net({ inputDim: [3, 32, 32], layers: [own, ...layers] });
    net.loss(x, y);
    assert(large(() => net.loss(x, y)).length > 0);
  });

  it("leaves gradients and scores alone that somebody has kept", () => {
    const kept: Tensor[] = [], copies: Tensor[] = [];
    const keep = ({ data, shape }: Tensor) => {
      kept.push({ data, shape });
      copies.push({ data: data.slice(), shape });
    };
    const wide = [conv(4), relu(), affine(20_000)];
    const net = new Net({
      inputDim: [3, 8, 8],
      layers: wide,
      loss: (scores, y) => {
        keep(scores);
        return softmaxLoss(scores, y);
      },
    });
    for (let i = 0; i < 3; i++) {
      const { grads } = net.loss(new RandomState(i).randn([2, 3, 8, 8]), [0, 1]);
      Object.values(grads).forEach(keep);
    }
    assertSameBits(kept, copies);
  });

  /** Layers with weights that a workspace keeps. */
  const weighty = [
    ...[conv(32), relu(), conv(64), maxPool(2), convTranspose(64, { kernel: 2, stride: 2 })],
    ...[conv(64, { groups: 2 }), flatten(), affine(50), relu(), affine(3)],
  ];

  for (const kernels of ["auto", "generated", "naive"] as const) {
    it(`writes the whole of gradients into spent ones, by ${kernels} kernels`, () => {
      using _ = useKernels(kernels);
      for (const dtype of ["float32", "float64"] as const) {
        const make = () => new Net({ inputDim: [3, 6, 6], layers: weighty, dtype, reg: 0.1 });
        const net = make(), other = make();
        const arrays = new Set<FloatArray>();
        let spent: Record<string, Tensor> = {};
        for (let i = 0; i < 3; i++) {
          const x = new RandomState(i).randn([2, 3, 6, 6], dtype) as Tensor<never>;
          const { grads, loss } = net.loss(x, [0, 1], { spent });
          assertSameBits([loss, grads], Object.values(other.loss(x, [0, 1])));
          for (const { data } of Object.values(grads)) arrays.add(data.fill(NaN));
          spent = grads;
        }
        const large = [...arrays].filter(({ length }) => length >= 1 << 14);
        assertEquals(large.length, 4, "each is used again");
      }
    });
  }

  it("takes back only gradients that it gave, and each once", () => {
    const net = new Net({ inputDim: [3, 6, 6], layers: weighty });
    const x = new RandomState(0).randn([2, 3, 6, 6]),
      step = (spent = {}) => net.loss(x, [0, 1], { spent }).grads;
    const first = step(), foreign = new Float64Array(first.W3.data.length).fill(7);
    const second = step({ W3: { data: foreign, shape: [] }, again: first.W3, b3: first.W3 });
    assert(foreign.every((value) => value === 7));
    assert(second.W3.data === first.W3.data);
    const third = step({ W3: first.W3 });
    assert(third.W3.data === first.W3.data, "second.W3 is first.W3");
    const { grads } = net.loss(x, [0, 1]), kept = grads.W3.data.slice();
    assert(step({ W3: grads.W3 }).W3.data !== grads.W3.data, "it was not from the workspace");
    assertSameBits(grads.W3.data, kept);
  });

  it("starts anew after an error", () => {
    let fails = false;
    const failing: LayerDefinition = {
      type: "failing",
      plan: (outShape) => ({
        outShape,
        releases: true,
        forward: (x) => ({
          out: x,
          backward(dout) {
            if (fails) throw new Error("not now");
            return { dx: dout };
          },
        }),
      }),
    };
    const net = new Net({ inputDim: [3, 32, 32], layers: [conv(8), failing, affine(3)] });
    const before = net.loss(x, y);
    fails = true;
    let message = "";
    try {
      net.loss(x, y);
    } catch (error) {
      message = (error as Error).message;
    }
    assertEquals(message, "not now");
    fails = false;
    assertSameBits(net.loss(x, y), before);
  });
});

describe("Workspace", () => {
  it("gives an array again when it was released, or when the iteration has ended", () => {
    const workspace = new Workspace(), N = 1 << 15;
    const one = workspace.take("float32", N, true), two = workspace.take("float32", N, true);
    assert(one !== two);
    one.fill(7);
    workspace.release(one);
    workspace.release(one);
    workspace.release(new Float32Array(N));
    assert(workspace.take("float32", N, false) === one);
    assertEquals(one[0], 7);
    const three = workspace.take("float32", N, true);
    assert(three !== one && three !== two);
    assert(workspace.take("float64", N, true) instanceof Float64Array);
    workspace.end([two]);
    const again = [workspace.take("float32", N, true), workspace.take("float32", N, true)];
    assert(again.includes(one) && again.includes(three));
    assertEquals(one[0], 0);
    assert(workspace.take("float32", N, true) !== two);
  });

  it("forgets what an iteration did not take", () => {
    const workspace = new Workspace(), N = 1 << 15;
    const one = workspace.take("float32", N, true);
    workspace.end([]);
    workspace.end([]);
    assert(workspace.take("float32", N, true) !== one);
  });
});
