/** Parameters that learn each in its own way, and gradients on their way to the update. */

import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  clipGlobalNorm,
  type Labels,
  type LossOptions,
  type Model,
  RandomState,
  sgd,
  Solver,
  type SolverOptions,
  type Tensor,
  tensor,
  type UpdateRule,
} from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";
import {
  data,
  linear,
  LinearNet,
  noisy,
  NoisyNet,
  numbers,
  quiet,
  type Result,
} from "../../support/small_nets.ts";

const trained = (options: SolverOptions, net: Model<Float64Array> = linear()) => {
  const solver = new Solver(net, data, { ...quiet, restoreBest: false, ...options });
  solver.train();
  return solver;
};

describe("paramGroups", () => {
  it("gives some parameters other settings, the later group before the earlier", () => {
    const solver = new Solver(new NoisyNet(), data, {
      ...noisy,
      updateRule: "adamw",
      paramGroups: [
        { params: /^(b|beta|gamma)\d/, weightDecay: 0 },
        { params: ["W2", "b2"], learningRate: 0.5, beta1: undefined },
        { params: "b2", learningRate: 0.25 },
      ],
    });
    const { optimConfigs } = solver.checkpoint();
    const of = (key: "weightDecay" | "learningRate") =>
      Object.fromEntries(Object.entries(optimConfigs).map(([name, config]) => [name, config[key]]));
    const none = undefined;
    assertEquals(of("weightDecay"), { W1: none, b1: 0, gamma1: 0, beta1: 0, W2: none, b2: 0 });
    const rates = { W1: 0.02, b1: 0.02, gamma1: 0.02, beta1: 0.02, W2: 0.5, b2: 0.25 };
    assertEquals(of("learningRate"), rates);
    assert(!("beta1" in optimConfigs.W2));
  });

  it("is what the parameters follow", () => {
    const { params } = trained({ paramGroups: [{ params: "b", learningRate: 0 }] }).model;
    assertEquals([...params.b.data], [0, 0, 0]);
    assert(params.W.data.some((w, i) => w !== linear().params.W.data[i]));
  });

  it("refuses what it does not understand", () => {
    const solver = (paramGroups: unknown) => () =>
      new Solver(linear(), data, { ...quiet, paramGroups } as SolverOptions);
    assertThrows(solver({}), TypeError, "paramGroups must be an array of groups with params");
    assertThrows(
      solver([{ learningRate: 1 }]),
      TypeError,
      "paramGroups must be an array of groups with params",
    );
    assertThrows(
      solver([{ params: 3 }]),
      TypeError,
      "paramGroups[0].params must hold names or regular",
    );
    assertThrows(
      solver([{ params: ["W", /^gamma/] }]),
      RangeError,
      "paramGroups[0].params must name parameters: there is no /^gamma/ among W, b",
    );
    assertThrows(
      () => trained({ paramGroups: [{ params: "W", beta1: 0.5 }] }),
      TypeError,
      '"beta1"',
    );
  });
});

describe("frozen", () => {
  /** A net that computes no gradient for what is frozen, and tells what it was asked. */
  class Sparing implements Model<Float64Array> {
    asked: string[] = [];
    readonly net: LinearNet;
    readonly params: LinearNet["params"];
    constructor(net: LinearNet) {
      this.net = net;
      this.params = net.params;
    }
    loss(x: Tensor<Float64Array>): Tensor<Float64Array>;
    loss(x: Tensor<Float64Array>, y: Labels, options?: LossOptions): Result;
    loss(x: Tensor<Float64Array>, y?: Labels, options?: LossOptions) {
      if (y === undefined) return this.net.loss(x);
      const { loss, grads } = this.net.loss(x, y);
      this.asked = [...options!.frozen!];
      for (const name of this.asked) delete grads[name];
      return { loss, grads };
    }
  }

  it("keeps parameters as they are, whether or not the model computes their gradients", () => {
    const b = [0.5, -0.5, 0.25];
    const net = linear(), sparing = new Sparing(linear());
    for (const { params } of [net, sparing]) params.b.data.set(b);
    const options = { frozen: "b", updateRule: "adam" } as const;
    trained(options, net);
    trained(options, sparing);
    assertEquals(sparing.asked, ["b"]);
    assertEquals([...net.params.b.data], b);
    assertSameBits(numbers(net.params), numbers(sparing.params));
    assert(net.params.W.data.some((w, i) => w !== linear().params.W.data[i]));
  });

  it("goes through a checkpoint, weight decay and averages", () => {
    const options = { ...noisy, frozen: [/^gamma/, "W2"], updateRule: "adamw" } as const;
    const whole = new Solver(new NoisyNet(), data, options);
    const gamma = [...whole.model.params.gamma1.data];
    let kept = whole.checkpoint();
    whole.train({
      onProgress: ({ iteration }) => {
        if (iteration === 9) kept = whole.checkpoint();
      },
    });
    const second = new Solver(new NoisyNet(), data, options);
    second.resume(kept);
    second.train();
    assertSameBits(second.checkpoint(), whole.checkpoint());
    assertEquals([...second.model.params.gamma1.data], gamma);
  });

  it("refuses names that are not parameters, and to freeze all", () => {
    const solver = (frozen: unknown) => () =>
      new Solver(linear(), data, { ...quiet, frozen } as SolverOptions);
    assertThrows(solver("V"), RangeError, "frozen must name parameters: there is no V among W, b");
    assertThrows(solver(/./), RangeError, "frozen must leave a parameter that learns");
    assertThrows(solver(7), TypeError, "frozen must hold names or regular expressions: received 7");
  });
});

describe("An update rule of one's own", () => {
  it("is told the parameter's name", () => {
    const names = new Set<string | undefined>();
    const own: UpdateRule = (w, dw, config, name) => {
      names.add(name);
      return sgd(w, dw, config);
    };
    trained({ updateRule: own });
    assertEquals([...names], ["W", "b"]);
  });
});

describe("Decoupled weight decay", () => {
  for (const rule of ["sgd", "sgdMomentum", "sgdNesterovMomentum"] as const) {
    it(`of ${rule} takes a part of the parameter, besides the step`, () => {
      const step = (weightDecay: number) => {
        const net = linear();
        trained({
          updateRule: rule,
          optimConfig: { learningRate: 0.125, weightDecay },
          numEpochs: 1,
          batchSize: 60,
        }, net);
        return net.params.W.data;
      };
      const before = linear().params.W.data, without = step(0), decayed = step(0.5);
      for (const [i, w] of decayed.entries()) {
        assertAlmostEquals(w, without[i] - 0.125 * 0.5 * before[i], 1e-15);
      }
    });
  }
});

describe("clipGlobalNorm()", () => {
  it("scales all gradients by one factor if their common norm is too large", () => {
    const grads = {
      a: tensor(Float64Array.of(3, 0), [2]),
      b: tensor(Float64Array.of(0, -4), [2]),
    };
    clipGlobalNorm(5)(grads);
    assertEquals([...grads.a.data, ...grads.b.data], [3, 0, 0, -4]);
    clipGlobalNorm(1)(grads);
    const clipped = [...grads.a.data, ...grads.b.data];
    for (const [i, value] of [0.6, 0, 0, -0.8].entries()) {
      assertAlmostEquals(clipped[i], value, 1e-15);
    }
  });

  it("limits what a solver's step is made from", () => {
    const net = linear(), before = net.params.W.data.slice(), b = net.params.b.data;
    trained({
      optimConfig: { learningRate: 1 },
      transformGradients: clipGlobalNorm(1e-3),
      numEpochs: 1,
      batchSize: 60,
    }, net);
    const moved = [...net.params.W.data.map((w, i) => w - before[i]), ...b];
    assertAlmostEquals(Math.hypot(...moved), 1e-3, 1e-12);
  });

  it("refuses a negative norm", () => {
    assertThrows(() => clipGlobalNorm(-1), RangeError, "maxNorm must be a number of 0 or more");
  });
});

describe("A loss that is not finite", () => {
  it("names the examples, the parameter or the layer where it began", () => {
    const hint = (net: LinearNet, x = data.xTrain) => {
      const solver = new Solver(net, { ...data, xTrain: x }, quiet);
      const { end, hint } = solver.train();
      assertEquals(end, "diverged");
      return hint;
    };
    const broken = linear();
    broken.params.b.data[1] = Infinity;
    assertEquals(
      hint(broken),
      "The loss became NaN in iteration 1, first in the parameter b: try a lower learning rate",
    );
    const x = tensor(data.xTrain.data.map(() => NaN), data.xTrain.shape);
    assertEquals(
      hint(linear(), x),
      "The loss became NaN in iteration 1, first in the examples of the batch: try a lower " +
        "learning rate",
    );
    class Telling extends LinearNet {
      findNonFinite = () => "layers[3].gelu";
    }
    const large = new Telling(new RandomState(0).randn([4, 3]));
    for (let i = 0; i < 12; i++) large.params.W.data[i] = i % 2 === 0 ? 1e308 : -1e308;
    const overflow = tensor(data.xTrain.data.map(() => 1e300), data.xTrain.shape);
    assert(hint(large, overflow)!.includes(", first in the output of layers[3].gelu: "));
  });
});
