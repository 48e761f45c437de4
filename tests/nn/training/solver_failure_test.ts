import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import {
  adam,
  type Checkpoint,
  type Labels,
  type Model,
  sgd,
  Solver,
  type SolverOptions,
  type Tensor,
  type UpdateRule,
  zeros,
} from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";
import { data, linear, noisy, NoisyNet, quiet, type Result } from "../../support/small_nets.ts";
import { watchArrays } from "../../support/watch.ts";

/** Throws at the calls with these numbers, counted from 1. */
function faultAt(...calls: number[]): () => void {
  let call = 0;
  return () => {
    if (calls.includes(++call)) throw new Error("planted");
  };
}

describe("An exception in the middle of an iteration", () => {
  /** Trains with exceptions: each leaves all as it was, and the training run is that without them. */
  function assertUndone(make: (fault: () => void) => Solver<Float64Array>, calls: number[]): void {
    const whole = make(() => {}), solver = make(faultAt(...calls));
    whole.train();
    let last: Checkpoint = solver.checkpoint(), thrown = 0;
    const tensors = Object.values(solver.model.params);
    for (;;) {
      try {
        solver.train({ onProgress: () => last = solver.checkpoint() });
        break;
      } catch (error) {
        assertEquals((error as Error).message, "planted");
        thrown++;
        assertSameBits(solver.checkpoint(), last);
        for (const [i, tensor] of Object.values(solver.model.params).entries()) {
          assertStrictEquals(tensor, tensors[i]);
        }
      }
    }
    assertEquals(thrown, calls.length);
    assertSameBits(solver.checkpoint(), whole.checkpoint());
    assertSameBits(solver.model.params, whole.model.params);
  }

  // A schedule, so that the learning rate of a step is not the one that stays.
  const options: SolverOptions = { ...noisy, schedule: (progress) => 1 - progress / 2 };

  it("in augment is undone", () => {
    assertUndone((fault) =>
      new Solver(new NoisyNet(), data, {
        ...options,
        augment: (x, random) => {
          // One of a pair: the other waits for the next batch.
          x.data[0] += random.randn();
          fault();
        },
      }), [1, 2, 9, 12]);
  });

  it("in the schedule is undone", () => {
    assertUndone((fault) =>
      new Solver(new NoisyNet(), data, {
        ...options,
        schedule: (progress) => {
          fault();
          return 1 - progress / 2;
        },
      }), [1, 2, 9, 12]);
  });

  it("in the model is undone, before its loss and after it", () => {
    for (const when of ["before", "after"]) {
      assertUndone((fault) => {
        const model = new NoisyNet(),
          loss = model.loss.bind(model) as (...args: unknown[]) => Result;
        model.loss = ((x: Tensor, y?: Labels) => {
          if (y === undefined) return loss(x);
          if (when === "before") fault();
          const result = loss(x, y);
          if (when === "after") fault();
          return result;
        }) as typeof model.loss;
        return new Solver(model, data, options);
      }, [1, 2, 9, 12]);
    }
  });

  it("in a measurement undoes the measurement alone", () => {
    const whole = new Solver(new NoisyNet(), data, options);
    whole.train();
    const model = new NoisyNet(), solver = new Solver(model, data, options);
    model.onScores = faultAt(1, 3, 5, 8);
    for (const at of [1, 1, 1, 6]) {
      assertThrows(() => solver.train(), Error, "planted");
      const { iteration, checkPending } = solver.checkpoint();
      assertEquals([iteration, checkPending], [at, true]);
    }
    solver.train();
    assertSameBits(solver.checkpoint(), whole.checkpoint());
  });

  it("in an update rule is undone, whichever parameters it has changed already", () => {
    // Six parameters an iteration.
    assertUndone((fault) =>
      new Solver(new NoisyNet(), data, {
        ...options,
        updateRule: function mine(w, dw, config) {
          const update = adam(w, dw, config);
          fault();
          return update;
        },
      }), [1, 2, 6, 9, 40, 59]);
  });

  it("in an update rule that replaces what it is given is undone too", () => {
    const plain: UpdateRule = (w, dw, config = {}) => {
      const nextW = { ...w, data: w.data.slice() as typeof w.data };
      for (let i = 0; i < w.data.length; i++) nextW.data[i] -= 0.1 * dw.data[i];
      return { nextW, config: { ...config, t: (config.t ?? 0) + 1 } };
    };
    const make = (fault: () => void) => {
      const rule: UpdateRule = (w, dw, config) => {
        fault();
        return plain(w, dw, config);
      };
      return new Solver(new NoisyNet(), data, { ...options, updateRule: rule });
    };
    const whole = make(() => {}), solver = make(faultAt(39));
    whole.train();
    assertThrows(() => solver.train(), Error, "planted");
    assertEquals(solver.iteration, 6);
    solver.train();
    assertSameBits(solver.checkpoint(), whole.checkpoint());
  });

  it("changes no parameter where one gradient of all is wrong", () => {
    const mine: UpdateRule = (w, dw, config) => adam(w, dw, config);
    for (const updateRule of ["adam", mine] as const) {
      const model = new NoisyNet(), loss = model.loss.bind(model) as (...args: unknown[]) => Result;
      let wrong = false;
      model.loss = ((x: Tensor, y?: Labels) => {
        const result = loss(x, y);
        // The last one: all others come before it.
        if (wrong && y !== undefined) result.grads.b2 = zeros([4]);
        return result;
      }) as typeof model.loss;
      const solver = new Solver(model, data, { ...options, updateRule });
      const onProgress = () => {
        wrong = solver.iteration === 8;
      };
      assertThrows(() => solver.train({ onProgress }), RangeError, "dw must have the shape of w");
      const kept = solver.checkpoint();
      assertThrows(() => solver.train({ onProgress }), RangeError, "dw must have the shape of w");
      assertSameBits(solver.checkpoint(), kept);
      assertEquals(kept.iteration, 8);
      wrong = false;
      const whole = new Solver(new NoisyNet(), data, {
        ...options,
        updateRule,
      });
      whole.train();
      solver.train();
      assertSameBits(solver.checkpoint(), whole.checkpoint());
    }
  });

  it("costs a rule of the user's own one copy of each parameter, and not one an iteration", () => {
    const arraysOf = (updateRule: SolverOptions["updateRule"]) =>
      watchArrays(() => new Solver(linear(), data, { ...quiet, updateRule }).train()).length;
    const mine: UpdateRule = (w, dw, config) => sgd(w, dw, config);
    assertEquals(arraysOf(mine) - arraysOf("sgd"), 2);
  });

  it("is what an update rule gets that gives nothing to continue with", () => {
    for (const given of [{}, { nextW: zeros([3, 4]), config: {} }, { nextW: zeros([4, 3]) }]) {
      const solver = new Solver(linear(), data, {
        ...quiet,
        updateRule: (() => given) as unknown as UpdateRule,
      });
      const before = solver.checkpoint();
      assertThrows(() => solver.train());
      assertSameBits(solver.checkpoint(), before);
    }
  });
});

describe("A loss that is not a finite number", () => {
  /** A solver whose loss is such a one from an iteration on. */
  function diverging(value: number, at: number, options: SolverOptions = noisy) {
    const model = new NoisyNet(), loss = model.loss.bind(model) as (...args: unknown[]) => Result;
    let batches = 0;
    model.loss = ((x: Tensor, y?: Labels) => {
      if (y === undefined) return loss(x);
      return { ...loss(x, y), ...(++batches >= at ? { loss: value } : {}) };
    }) as typeof model.loss;
    return new Solver(model, data, options);
  }

  for (const value of [NaN, Infinity, -Infinity]) {
    it(`ends the training run: ${value}`, () => {
      const whole = new Solver(new NoisyNet(), data, noisy);
      let first: Checkpoint | undefined;
      whole.train({
        onProgress: () => {
          if (whole.iteration === 14) first = whole.checkpoint();
        },
      });
      const solver = diverging(value, 15);
      const kept: number[] = [];
      const { end, iteration, loss, valAcc, hint } = solver.train({
        onCheckpoint: (checkpoint) => void kept.push(checkpoint.iteration),
      });
      assertEquals([end, iteration], ["diverged", 15]);
      assertSameBits(loss, value);
      assertEquals(hint, `The loss became ${value} in iteration 15: try a lower learning rate`);
      assertEquals(valAcc, solver.valAccHistory.at(-1));
      assertSameBits(solver.lossHistory, [...first!.lossHistory, value]);
      // The parameters are those of before, and the model has the best.
      assertSameBits(solver.checkpoint().params, first!.params);
      assertSameBits(solver.checkpoint().optimConfigs, first!.optimConfigs);
      assertSameBits(solver.checkpoint().modelState, first!.modelState);
      assertSameBits(solver.model.params, first!.bestParams);
      assertEquals(kept, [6, 12]);
    });
  }

  it("leaves nothing to do: not by training on, nor by a checkpoint of it", () => {
    const solver = diverging(NaN, 15);
    solver.train();
    const before = solver.checkpoint();
    assertEquals(solver.train().end, "diverged");
    assertEquals(solver.train({ signal: AbortSignal.abort() }).end, "diverged");
    assertSameBits(solver.checkpoint(), before);
    const other = new Solver(new NoisyNet(), data, noisy);
    other.resume(before);
    assertEquals(other.train().end, "diverged");
    assertSameBits(other.checkpoint(), before);
  });

  it("keeps a checkpoint from taking the place of one that can continue", () => {
    const kept: number[] = [];
    diverging(NaN, 12).train({ onCheckpoint: ({ iteration }) => void kept.push(iteration) });
    assertEquals(kept, [6]);
  });

  it("may be the first: then the model is as it was", () => {
    const solver = diverging(Infinity, 1), { params } = solver.checkpoint();
    const { end, iteration, trainAcc } = solver.train();
    assertEquals([end, iteration], ["diverged", 1]);
    assertEquals(trainAcc, NaN);
    assertEquals(solver.bestParams, undefined);
    assertSameBits(solver.model.params, params);
  });

  it("is told where lines are printed", () => {
    const lines: string[] = [], log = console.log;
    console.log = (line: string) => void lines.push(line);
    try {
      diverging(NaN, 8, { ...noisy, verbose: true }).train();
    } finally {
      console.log = log;
    }
    assertEquals(lines.at(-1), "The loss became NaN in iteration 8: try a lower learning rate");
  });

  it("comes from a learning rate that is far too high", () => {
    const solver = new Solver(new NoisyNet(), data, {
      ...quiet,
      updateRule: "sgd",
      optimConfig: { learningRate: 1e200 },
    });
    const { end, iteration } = solver.train();
    assertEquals(end, "diverged");
    assertEquals(solver.lossHistory.length, iteration);
    assert(iteration < 24);
  });

  it("is a number all the same", () => {
    const model: Model<Float64Array> = new NoisyNet(), loss = model.loss.bind(model);
    model.loss =
      ((x: Tensor<Float64Array>, y?: Labels) =>
        y === undefined ? loss(x) : { ...loss(x, y), loss: undefined }) as typeof model.loss;
    const solver = new Solver(model, data, noisy);
    assertThrows(() => solver.train(), TypeError, "The loss of the model must be a number");
  });
});
