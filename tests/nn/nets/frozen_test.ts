/** What a net leaves out for frozen parameters, and where it says that numbers are not finite. */

import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  affine,
  batchnorm,
  conv,
  flatten,
  type LayerDefinition,
  mixup,
  Net,
  RandomState,
  relu,
  residual,
  sequential,
  softmaxLoss,
  Solver,
  type Tensor,
  zeros,
} from "../../../mod.ts";
import { NetPlanner } from "../../../nn/nets/planner.ts";
import { assertSameBits } from "../../support/bits.ts";

/** Gives its input, and counts how often somebody goes back through it. */
function counter(): { layer: LayerDefinition; passes: { backward: number } } {
  const passes = { backward: 0 };
  const layer: LayerDefinition = {
    type: "counter",
    plan: (inShape) => ({
      outShape: inShape,
      forward: (x: Tensor) => ({
        out: x,
        backward(dx) {
          passes.backward++;
          return { dx };
        },
      }),
    }),
  };
  return { layer, passes };
}

const random = new RandomState(0);
const x = random.randn([4, 2, 4, 4]), y = [0, 1, 2, 0];
const watched = counter();
const layers = [
  conv(3),
  batchnorm(),
  relu(),
  watched.layer,
  residual(sequential(conv(3), batchnorm(), relu(), conv(3))),
  flatten(),
  affine(3),
];
const net = () => new Net({ inputDim: [2, 4, 4], layers, reg: 0.5 });
const full = net().loss(x, y).grads;

describe("A net told that parameters are frozen", () => {
  const gradsWith = (...names: string[]) => net().loss(x, y, { frozen: new Set(names) }).grads;

  it("gives the gradients of all others, and none of theirs", () => {
    const names = Object.keys(full);
    for (const gone of [["W1"], ["W2", "b2"], ["W1", "b1"], ["b3", "gamma2"], names.slice(0, -1)]) {
      const grads = gradsWith(...gone);
      assertEquals(
        Object.keys(grads).toSorted(),
        names.filter((n) => !gone.includes(n)).toSorted(),
      );
      for (const [name, { data }] of Object.entries(grads)) assertSameBits(data, full[name].data);
    }
  });

  it("does not go back after the first layer that learns", () => {
    const passes = (...names: string[]) => {
      const before = watched.passes.backward;
      gradsWith(...names);
      return watched.passes.backward - before;
    };
    assertEquals(passes(), 1);
    assertEquals(passes("W1", "b1", "gamma1"), 1);
    assertEquals(passes("W1", "b1", "gamma1", "beta1"), 0);
  });

  it("tells a layer all of whose parameters are frozen, wherever it is", () => {
    const told: (false | undefined)[] = [];
    const shift: LayerDefinition = {
      type: "shift",
      plan: (inShape) => ({
        outShape: inShape,
        params: { s: { shape: [1], init: 0 }, t: { shape: [1], init: 0 } },
        forward: (x: Tensor) => ({
          out: x,
          backward(dx, { params }) {
            told.push(params);
            return { dx, grads: { s: zeros([1]), t: zeros([1]) } };
          },
        }),
      }),
    };
    const small = new Net({ inputDim: 4, layers: [affine(3), shift, affine(3)] });
    for (const names of [[], ["s1"], ["s1", "t1"]]) {
      const { grads } = small.loss(random.randn([3, 4]), [0, 1, 2], { frozen: new Set(names) });
      assertEquals(names.filter((name) => name in grads), []);
    }
    assertEquals(told, [undefined, undefined, false]);
  });

  it("does not run the kernel for weights that are frozen", () => {
    const big = conv(3).plan([2, 4, 4], new NetPlanner("float64"));
    const W = random.randn([3, 2, 3, 3]), b = zeros([3]);
    const run = {
      mode: "train",
      random,
      state: {},
      ownsInput: false,
      params: {},
      grads: {},
    } as const;
    const pass = () => big.forward(x, { W, b }, { ...run, frozen: new Set() });
    const dout = random.randn([4, 3, 4, 4]);
    const { dx, grads } = pass().backward(dout, { params: false });
    assertSameBits(dx, pass().backward(dout, {}).dx);
    assert(grads!.W.data.every((value) => value === 0));
  });

  it("trains as if it computed them", () => {
    const trained = (frozen: RegExp[], model: Net) => {
      const data = { xTrain: x, yTrain: y, xVal: x, yVal: y };
      new Solver(model, data, { frozen, batchSize: 4, numEpochs: 3, verbose: false }).train();
      return model;
    };
    const model = trained([/^(W|b|gamma|beta)1$/], net()), before = net();
    assertSameBits(model.params.W1, before.params.W1);
    assert(model.params.W2.data[0] !== before.params.W2.data[0]);
  });
});

describe("A net's findNonFinite()", () => {
  it("names the layer where numbers begin that are not finite", () => {
    const broken = net();
    assertEquals(broken.findNonFinite(x), undefined);
    broken.params.W3.data[0] = Infinity;
    assertEquals(broken.findNonFinite(x), "layers[4].residual.branch.sequential[3].conv");
    const data = { xTrain: x, yTrain: y, xVal: x, yVal: y };
    const large = new Net({ inputDim: [2, 4, 4], layers });
    for (const name of ["W3", "W4"]) large.params[name].data.fill(1e200);
    const { hint } = new Solver(large, data, { batchSize: 4, verbose: false }).train();
    assert(hint!.includes("first in the output of layers[6].affine"), hint);
  });
});

describe("A net's targets", () => {
  it("may be probabilities, with a loss that knows them", () => {
    const own = new Net({
      inputDim: [2, 4, 4],
      layers,
      loss: (scores, y) => softmaxLoss(scores, y, { labelSmoothing: 0.1 }),
    });
    const targets = mixup({ classes: 3, alpha: 1 })(x, random, { y: Int32Array.from(y) });
    const { loss, grads } = own.loss(x, targets);
    assert(Number.isFinite(loss) && grads.W1.data.some((value) => value !== 0));
    const svm = new Net({ inputDim: [2, 4, 4], layers, loss: "svm" });
    assertThrows(() => svm.loss(x, targets), TypeError, "y must be an array of labels");
  });
});
