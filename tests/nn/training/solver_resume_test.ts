import { describe, it } from "@std/testing/bdd";
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  type Checkpoint,
  cosineSchedule,
  decodeCheckpoint,
  encodeCheckpoint,
  type ModelState,
  type OptimConfig,
  type Progress,
  RandomState,
  sgd,
  Solver,
  type Tensor,
  type UpdateRule,
  type UpdateRuleName,
  updateRules,
  zeros,
} from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";
import { data, linear, noisy, NoisyNet, quiet } from "../../support/small_nets.ts";

describe("Solver.resume()", () => {
  const whole = new Solver(new NoisyNet(), data, noisy);
  whole.train();
  const fresh = () => new Solver(new NoisyNet(), data, noisy);

  it("gives bit for bit the losses of a training run that was never interrupted", () => {
    // In the middle of an epoch, at its end, before the start and after the end.
    for (const at of [9, 12, 0, 24]) {
      const first = fresh();
      let bytes = encodeCheckpoint(first.checkpoint());
      first.train({
        onProgress: ({ iteration }) => {
          if (iteration === at) bytes = encodeCheckpoint(first.checkpoint());
        },
      });
      assertSameBits(first.lossHistory, whole.lossHistory);
      const second = fresh();
      second.resume(decodeCheckpoint(bytes));
      assertEquals(second.iteration, at);
      second.train();
      assertSameBits(second.lossHistory, whole.lossHistory);
      assertSameBits(second.trainAccHistory, whole.trainAccHistory);
      assertSameBits(second.valAccHistory, whole.valAccHistory);
      assertSameBits(second.model.params, whole.model.params);
    }
  });

  it("does so too from the middle of a measurement, and after a stop", () => {
    const model = new NoisyNet(), first = new Solver(model, data, noisy);
    const stop = new AbortController();
    const taken: Checkpoint[] = [];
    model.onScores = () => taken.push(first.checkpoint());
    first.train({
      signal: stop.signal,
      onProgress: ({ iteration }) => iteration === 15 && stop.abort(),
    });
    model.onScores = () => {};
    // Measured after iterations 1, 6 and 12, and, as it was stopped, 15.
    assertEquals(new Set(taken.map(({ iteration }) => iteration)), new Set([1, 6, 12, 15]));
    for (const checkpoint of [...taken, first.checkpoint()]) {
      const second = fresh();
      second.resume(checkpoint);
      second.train();
      assertSameBits(second.lossHistory, whole.lossHistory);
      assertSameBits(second.valAccHistory, whole.valAccHistory);
      assertSameBits(second.trainAccHistory, whole.trainAccHistory);
    }
  });

  it("does so too if the solver and dropout draw from one stream", () => {
    const make = () => {
      const random = new RandomState(5);
      return new Solver(new NoisyNet(random), data, { ...noisy, random });
    };
    const whole = make(), first = make(), second = make();
    whole.train();
    const stop = new AbortController();
    first.train({
      signal: stop.signal,
      onProgress: ({ iteration }) => iteration === 15 && stop.abort(),
    });
    second.resume(first.checkpoint());
    for (const solver of [first, second]) {
      solver.train();
      assertSameBits(solver.lossHistory, whole.lossHistory);
    }
  });

  it("takes checkpoints by copy, every few epochs", async () => {
    const kept: Checkpoint[] = [];
    let waited = 0;
    await fresh().trainAsync({
      checkpointEvery: 2,
      onCheckpoint: async (checkpoint) => {
        kept.push(checkpoint);
        await new Promise((resolve) => setTimeout(resolve));
        waited++;
      },
    });
    assertEquals(kept.map(({ iteration }) => iteration), [12, 24]);
    assertEquals(waited, 2);
    assertEquals(kept[0].lossHistory, whole.lossHistory.slice(0, 12));
    assertNotEquals(kept[0].params.W1.data, kept[1].params.W1.data);
  });

  /** All that a training run can be told apart by. */
  const outcome = (solver: Solver<Float64Array>) => ({
    ...solver.checkpoint(),
    given: solver.model.params,
    accuracy: solver.checkAccuracy(data.xVal, data.yVal),
  });

  /** Trains up to an iteration, and no further. */
  function trainUpTo(solver: Solver<Float64Array>, at: number): void {
    const stop = new AbortController();
    const onProgress = ({ iteration }: Progress) => iteration === at && stop.abort();
    const { end } = solver.train({ signal: stop.signal, onProgress });
    assertEquals(end, "stopped");
  }

  it("gives the same best parameters too, wherever the training run was stopped", () => {
    let candidates = 0;
    for (const seed of [0, 1, 2]) {
      const make = () => new Solver(new NoisyNet(), data, { ...noisy, seed });
      const whole = make();
      whole.train();
      for (let at = 1; at < whole.iterations; at++) {
        const first = make(), second = make();
        trainUpTo(first, at);
        const best = Math.max(...first.valAccHistory);
        assertEquals(first.bestValAcc, best);
        assertEquals(first.checkAccuracy(data.xVal, data.yVal), best);
        const { params } = first.checkpoint(), last = new Solver(new NoisyNet(), data, noisy);
        last.resume({ ...first.checkpoint(), bestParams: null, bestModelState: null });
        assertSameBits(last.model.params, params);
        if (last.checkAccuracy(data.xVal, data.yVal) > best) candidates++;
        second.resume(decodeCheckpoint(encodeCheckpoint(first.checkpoint())));
        first.train();
        second.train();
        assertSameBits(outcome(first), outcome(whole), `stopped at ${at}`);
        assertSameBits(outcome(second), outcome(whole), `resumed at ${at}`);
      }
    }
    assert(candidates > 3, "no stop had better parameters than every measurement before it");
  });

  it("tells of the same accuracies, in the same order", () => {
    const told = (solver: Solver<Float64Array>) => {
      const list: number[][] = [];
      solver.train({
        onProgress: ({ iteration, trainAcc, valAcc }) => list.push([iteration, trainAcc, valAcc]),
      });
      return list;
    };
    const all = told(fresh());
    const first = fresh(), second = fresh();
    trainUpTo(first, 15);
    second.resume(first.checkpoint());
    assertEquals(told(first), all.slice(15));
    assertEquals(told(second), all.slice(15));
  });

  it("can follow an end, on the same solver or another, and change nothing", () => {
    const again = fresh();
    again.train();
    again.resume(again.checkpoint());
    assertEquals(again.train().end, "done");
    assertSameBits(outcome(again), outcome(whole));
    const other = fresh();
    other.resume(decodeCheckpoint(encodeCheckpoint(whole.checkpoint())));
    assertEquals(other.train().iteration, 24);
    assertSameBits(outcome(other), outcome(whole));
  });

  it("is not misled by what the model's owner does with it after an end, or before a start", () => {
    /** A net that keeps what it is given, which its owner may do. */
    class KeepingNet extends NoisyNet {
      readonly given: ModelState[] = [];
      override setState(state: ModelState): void {
        this.given.push(state);
        super.setState(state);
      }
    }
    const model = new KeepingNet(), solver = new Solver(model, data, noisy);
    const spoil = () => {
      const tensors = model.given.flatMap(({ statistics }) => Object.values(statistics));
      for (const { data } of [...tensors, ...Object.values(model.params)]) data.fill(7);
    };
    solver.train();
    spoil();
    solver.train();
    assertSameBits(outcome(solver), outcome(whole));
    solver.resume(whole.checkpoint());
    // The last of the states is the model's own; those before it are nobody's.
    model.given.pop();
    spoil();
    assertSameBits(solver.checkpoint().bestModelState, whole.checkpoint().bestModelState);
  });

  it("takes a solver that has ended back to where the checkpoint was taken", () => {
    const solver = fresh();
    let middle: Checkpoint | undefined;
    solver.train({
      onProgress: ({ iteration }) => {
        if (iteration === 9) middle = solver.checkpoint();
      },
    });
    solver.resume(middle!);
    assertSameBits(solver.model.params, middle!.params);
    assertSameBits(solver.checkpoint(), middle);
    solver.train();
    assertSameBits(outcome(solver), outcome(whole));
  });

  for (const updateRule of Object.keys(updateRules) as UpdateRuleName[]) {
    it(`continues with all that an update rule remembers: ${updateRule}()`, () => {
      const make = () => new Solver(new NoisyNet(), data, { ...noisy, updateRule });
      const whole = make(), first = make(), second = make();
      whole.train();
      trainUpTo(first, 15);
      second.resume(decodeCheckpoint(encodeCheckpoint(first.checkpoint())));
      second.train();
      assertSameBits(outcome(second), outcome(whole));
    });
  }

  it("waits for a better accuracy as long as a training run that was never interrupted", () => {
    const make = () => new Solver(new NoisyNet(), data, { ...noisy, numEpochs: 40, patience: 3 });
    const whole = make(), { end, epoch } = whole.train();
    const best = whole.valAccHistory.indexOf(whole.bestValAcc);
    assertEquals([end, epoch], ["patience", best + 3]);
    assert(best > 1, "choose numbers that get better first");
    for (let at = 1; at < whole.iteration; at += 2) {
      const first = make(), second = make();
      trainUpTo(first, at);
      second.resume(first.checkpoint());
      // A solver that has been elsewhere knows no more than a new one.
      whole.resume(first.checkpoint());
      for (const solver of [first, second, whole]) {
        const { end, epoch } = solver.train();
        assertEquals([end, epoch], ["patience", best + 3], `stopped at ${at}`);
      }
    }
  });

  it("serves training runs of any number of epochs, at the same cost for each iteration", () => {
    const epochs = 140_000;
    const make = () => {
      const one = { ...data, xTrain: zeros([1, 4]), yTrain: [0] };
      const options = { ...quiet, batchSize: 1, numEpochs: epochs + 9, numValSamples: 1 };
      return new Solver(linear(), one, { ...options, patience: epochs });
    };
    const start = make(), solver = make();
    const zero = Array(epochs).fill(0), first = [1, ...zero.slice(1)];
    start.train({ signal: AbortSignal.abort() });
    solver.resume({
      ...start.checkpoint(),
      iteration: epochs,
      lossHistory: zero,
      trainAccHistory: zero,
      valAccHistory: first,
      bestValAcc: 1,
    });
    let read = 0;
    solver.valAccHistory = new Proxy(solver.valAccHistory, {
      get(history, key) {
        read++;
        return Reflect.get(history, key);
      },
    });
    // One epoch more, and none was better for this many.
    const { end, iteration } = solver.train();
    assertEquals([end, iteration], ["patience", epochs + 1]);
    assert(read < 50, `${read} reads of the history`);
  });

  describe("refuses, with everything as it was,", () => {
    const checkpoint = whole.checkpoint();
    const { optimConfigs, params, random } = checkpoint;
    const without = (name: string) => {
      const { [name as "iteration"]: _, ...rest } = checkpoint;
      return rest;
    };
    const sgd = () => new Solver(new NoisyNet(), data, { ...noisy, updateRule: "sgd" });
    const cases: Record<string, [unknown, ErrorConstructor, string]> = {
      "null": [null, TypeError, "checkpoint must be"],
      "an empty object": [{}, TypeError, "checkpoint must have iteration"],
      "an unknown part": [{ ...checkpoint, extra: 1 }, TypeError, '"extra"'],
      "a negative iteration": [
        { ...checkpoint, iteration: -5 },
        RangeError,
        "checkpoint.iteration",
      ],
      "an iteration that is text": [{ ...checkpoint, iteration: "3" }, TypeError, 'received "3"'],
      "half an iteration": [{ ...checkpoint, iteration: 1.5 }, RangeError, "checkpoint.iteration"],
      "an iteration without its losses": [
        { ...checkpoint, iteration: 23 },
        RangeError,
        "23 values",
      ],
      "text for checkPending": [{ ...checkpoint, checkPending: "no" }, TypeError, "checkPending"],
      "another update rule": [sgd().checkpoint(), TypeError, "rule adam: it is of sgd"],
      "no update rule": [{ ...checkpoint, updateRule: undefined }, TypeError, "updateRule"],
      "another batch size": [{ ...checkpoint, batchSize: 5 }, RangeError, "it is of batchSize 5"],
      "other data": [{ ...checkpoint, numTrain: 5 }, RangeError, "numTrain 5"],
      "a parameter of another shape": [
        { ...checkpoint, params: { ...params, W2: zeros([6, 2]) } },
        RangeError,
        "params.W2 must have the shape of the model's",
      ],
      "no optimConfigs": [without("optimConfigs"), TypeError, "checkpoint must have"],
      "optimConfigs that lack one": [
        { ...checkpoint, optimConfigs: { W1: optimConfigs.W1 } },
        TypeError,
        "checkpoint.optimConfigs must have W1, b1",
      ],
      "optimConfigs with a memory of another shape": [
        {
          ...checkpoint,
          optimConfigs: { ...optimConfigs, b2: { ...optimConfigs.b2, m: zeros([2]) } },
        },
        RangeError,
        "checkpoint.optimConfigs.b2.m",
      ],
      "optimConfigs of another rule": [
        { ...checkpoint, optimConfigs: { ...optimConfigs, b2: { velocity: zeros([3]) } } },
        TypeError,
        '"velocity"',
      ],
      "no lossHistory": [without("lossHistory"), TypeError, "checkpoint must have"],
      "a lossHistory of text": [
        { ...checkpoint, lossHistory: Array(24).fill("1") },
        TypeError,
        "checkpoint.lossHistory[0] must be a number",
      ],
      "accuracies of different counts": [
        { ...checkpoint, valAccHistory: [1] },
        RangeError,
        "checkpoint.valAccHistory must hold 5 values: it holds 1",
      ],
      "a best accuracy that is none": [{ ...checkpoint, bestValAcc: 2 }, RangeError, "bestValAcc"],
      "best parameters of another net": [
        { ...checkpoint, bestParams: { W: zeros([4, 3]) } },
        TypeError,
        "checkpoint.bestParams",
      ],
      "no random numbers": [{ ...checkpoint, random: null }, TypeError, "state"],
      "damaged random numbers": [
        { ...checkpoint, random: { ...random, position: 1000 } },
        RangeError,
        "state.position",
      ],
      "no state of the model": [
        { ...checkpoint, modelState: null },
        TypeError,
        "checkpoint.modelState must be the model's state: received null",
      ],
      "a best state without best parameters": [
        { ...checkpoint, bestParams: null },
        TypeError,
        "checkpoint.bestModelState must be null",
      ],
      "a state that the model refuses": [
        { ...checkpoint, modelState: { ...checkpoint.modelState, random: undefined } },
        TypeError,
        "state",
      ],
      "a best state that the model refuses": [
        { ...checkpoint, bestModelState: { ...checkpoint.modelState, random: undefined } },
        TypeError,
        "state",
      ],
      "what is not plain": [
        { ...checkpoint, modelState: { ...checkpoint.modelState, more: new Map() } },
        TypeError,
        "checkpoint.modelState.more must be plain data",
      ],
    };
    for (const [what, [value, error, message]] of Object.entries(cases)) {
      it(what, () => {
        const solver = fresh();
        trainUpTo(solver, 9);
        const before = outcome(solver), tensors = Object.values(solver.model.params);
        assertThrows(() => solver.resume(value as Checkpoint), error, message);
        assertSameBits(outcome(solver), before);
        for (const [i, tensor] of Object.values(solver.model.params).entries()) {
          assertStrictEquals(tensor, tensors[i]);
        }
        solver.train();
        assertSameBits(outcome(solver), outcome(whole));
      });
    }

    it("the checkpoint of another model", () => {
      const other = new Solver(linear(), data, noisy);
      assertThrows(() => other.resume(checkpoint), TypeError, "known are W, b");
    });

    it("learning rates that a schedule would have to multiply and are not there", () => {
      const plain = new Solver(linear(), data, { ...quiet, optimConfig: { learningRate: 1 } });
      const scheduled = new Solver(linear(), data, {
        ...quiet,
        optimConfig: { learningRate: 1 },
        schedule: cosineSchedule(),
      });
      const checkpoint = { ...plain.checkpoint(), optimConfigs: { W: {}, b: {} } };
      assertThrows(() => scheduled.resume(checkpoint), TypeError, "optimConfigs.W.learningRate");
    });
  });

  it("tells update rules apart by names of their own, and refuses functions without", () => {
    const make = (updateRule: UpdateRule) =>
      new Solver(linear(), data, { ...quiet, updateRule, optimConfig: { learningRate: 1 } });
    const named: UpdateRule = function halved(w, dw, config) {
      return sgd(w, dw, { learningRate: config!.learningRate! / 2 });
    };
    const other: UpdateRule = function doubled(w, dw, config) {
      return sgd(w, dw, { learningRate: config!.learningRate! * 2 });
    };
    const checkpoint = make(named).checkpoint();
    assertEquals(checkpoint.updateRule, "halved");
    make(named).resume(checkpoint);
    assertThrows(() => make(other).resume(checkpoint), TypeError, "doubled: it is of halved");
    const nameless: UpdateRule[] = [
      (() => (w: Tensor, dw: Tensor, config?: OptimConfig) => sgd(w, dw, config))() as UpdateRule,
      // Named after the option, as any other would be.
      { updateRule: ((w, dw, config) => sgd(w, dw, config)) as UpdateRule }.updateRule,
      // Named like one of ours, and not it.
      function adam(w, dw, config) {
        return sgd(w, dw, config);
      },
    ];
    for (const rule of nameless) {
      const solver = make(rule);
      const refused = "must be a function with a name of its own";
      assertThrows(() => solver.resume(solver.checkpoint()), TypeError, refused);
      assertThrows(() => make(named).resume(solver.checkpoint()), TypeError, "halved");
      assertEquals(solver.train().end, "done");
    }
    // Ours has its name, however it is given.
    const ours = make(sgd);
    assertEquals(ours.checkpoint().updateRule, "sgd");
    ours.resume(new Solver(linear(), data, { ...quiet, updateRule: "sgd" }).checkpoint());
  });

  it("takes tensors of whatever class", () => {
    class Matrix {
      readonly shape: readonly number[];
      readonly #data: Float64Array;
      constructor({ data }: Tensor<Float64Array>, shape: readonly number[]) {
        this.shape = shape;
        this.#data = data;
      }
      get data(): Float64Array {
        return this.#data;
      }
    }
    const make = () => {
      const model = linear(), { W } = model.params;
      model.params.W = new Matrix(W, W.shape);
      return new Solver(model, data, quiet);
    };
    const plain = new Solver(linear(), data, quiet), solver = make(), second = make();
    plain.train();
    trainUpTo(solver, 9);
    second.resume(decodeCheckpoint(encodeCheckpoint(solver.checkpoint())));
    second.train();
    assertSameBits(second.checkpoint(), plain.checkpoint());
  });

  it("refuses settings that no checkpoint could keep", () => {
    const refuse = (part: unknown, message: string) =>
      assertThrows(
        () => new Solver(linear(), data, { optimConfig: { momentum: part } as OptimConfig }),
        TypeError,
        message,
      );
    refuse(new Map(), "optimConfig.momentum must be plain data");
    refuse(new Date(0), "optimConfig.momentum must be plain data");
    refuse(() => 1, "optimConfig.momentum must be plain data");
    refuse(new Int32Array(1), "optimConfig.momentum must be plain data");
    const solver = new Solver(linear(), data, {
      ...quiet,
      updateRule: function remembering(w, _, config = {}) {
        return { nextW: w, config: { ...config, seen: new Set([1]) } as OptimConfig };
      },
    });
    assertEquals(solver.train().end, "done");
    assertThrows(() => solver.checkpoint(), TypeError, "checkpoint.optimConfigs.W.seen must be");
  });
});
