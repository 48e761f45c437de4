import { describe, it } from "@std/testing/bdd";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  affine,
  cosineSchedule,
  type Labels,
  type Model,
  Net,
  RandomState,
  sgd,
  Solver,
  type SolverOptions,
  stepSchedule,
  type Tensor,
  tensor,
  zeros,
} from "../../../mod.ts";
import {
  data,
  linear,
  LinearNet,
  noisy,
  NoisyNet,
  numbers,
  quiet,
  type Result,
  val,
} from "../../support/small_nets.ts";

/** Runs with what console.log prints kept. */
function logged(run: () => void): string[] {
  const lines: string[] = [], log = console.log;
  console.log = (line: string) => void lines.push(line);
  try {
    run();
  } finally {
    console.log = log;
  }
  return lines;
}

describe("Solver", () => {
  it("gives the losses and accuracies of the course's solver in numpy", () => {
    // One stream of random numbers for all, as numpy's global one. The values were computed with
    // cs231n/solver.py and this net in numpy.
    const random = new RandomState(231);
    const x = random.randn([40, 5]), y = random.randint(0, 3, 40);
    const xVal = random.randn([15, 5]), yVal = random.randint(0, 3, 15);
    const W = random.randn([5, 3]);
    for (let i = 0; i < W.data.length; i++) W.data[i] *= 0.1;
    const model = new LinearNet(W);
    const solver = new Solver(model, { xTrain: x, yTrain: y, xVal, yVal }, {
      updateRule: "sgdMomentum",
      optimConfig: { learningRate: 0.1, momentum: 0.9 },
      lrDecay: 0.5,
      numEpochs: 3,
      batchSize: 8,
      numTrainSamples: 20,
      printEvery: 5,
      random,
    });
    const lines = logged(() => solver.train());
    const losses = [
      1.076882176010454,
      1.1004575927372326,
      1.0763464027046474,
      0.9710823543129987,
      1.0497422392242777,
      1.0541418345299174,
      1.0483011405209735,
      0.9320381878220053,
      0.8599779461672488,
      1.0654164426776773,
      1.091076786057267,
      1.0499331722326302,
      0.939257202361073,
      0.7009556308975845,
      1.0227442420867683,
    ];
    assertEquals(solver.lossHistory.length, losses.length);
    for (const [i, loss] of losses.entries()) {
      assertAlmostEquals(solver.lossHistory[i], loss, 1e-14);
    }
    assertEquals(solver.trainAccHistory, [0.25, 0.4, 0.5, 0.5]);
    assertEquals(solver.valAccHistory, [0.4, 7 / 15, 0.4, 0.4]);
    assertEquals(solver.bestValAcc, 7 / 15);
    assertEquals(lines, [
      "(Iteration 1 / 15) loss: 1.076882",
      "(Epoch 0 / 3) train acc: 0.250000; val_acc: 0.400000",
      "(Epoch 1 / 3) train acc: 0.400000; val_acc: 0.466667",
      "(Iteration 6 / 15) loss: 1.054142",
      "(Epoch 2 / 3) train acc: 0.500000; val_acc: 0.400000",
      "(Iteration 11 / 15) loss: 1.091077",
      "(Epoch 3 / 3) train acc: 0.500000; val_acc: 0.400000",
    ]);
  });

  it("has the course's defaults", () => {
    const model = linear();
    const solver = new Solver(model, {
      ...data,
      xTrain: zeros([250, 4]),
      yTrain: Array(250).fill(0),
    });
    // 10 epochs of 250 / 100 iterations, sgd at 1e-2.
    assertEquals(solver.iterations, 20);
    const lines = logged(() => solver.train());
    assertEquals(lines.length, 2 + 11);
    assertEquals(
      lines.filter((line) => line.startsWith("(Iteration")).map((line) => parseInt(line.slice(11))),
      [
        1,
        11,
      ],
    );
    assertEquals(solver.checkpoint().updateRule, "sgd");
    assertEquals(solver.checkpoint().batchSize, 100);
    assertEquals(solver.checkpoint().optimConfigs.W.learningRate, 1e-2);
  });

  it("knows update rules by the course's names, by ours, and as functions", () => {
    const run = (updateRule: SolverOptions["updateRule"]) => {
      const solver = new Solver(linear(), data, { ...quiet, updateRule });
      solver.train();
      return solver.lossHistory;
    };
    const named = run("sgdMomentum");
    assertEquals(run("sgd_momentum" as "sgdMomentum"), named);
    assertNotEquals(run("sgd"), named);
    assertNotEquals(run("sgd_nesterov_momentum" as "sgdNesterovMomentum"), named);
    let steps = 0;
    run((w, _, config = {}) => {
      steps++;
      return { nextW: w, config };
    });
    assertEquals(steps, 2 * 24);
  });

  it("ends with the best parameters, and with the running statistics that belong to them", () => {
    const model = new NoisyNet();
    // A learning rate that makes accuracy jump about, so that the last is not the best.
    const solver = new Solver(model, data, { ...noisy, optimConfig: { learningRate: 0.5 } });
    solver.train();
    assert(solver.bestValAcc > solver.valAccHistory.at(-1)!, "choose other numbers");
    assertEquals(solver.bestValAcc, Math.max(...solver.valAccHistory));
    assertEquals(solver.checkAccuracy(data.xVal, data.yVal), solver.bestValAcc);
    assertEquals(
      numbers(model.params),
      numbers(solver.bestParams!),
    );
  });

  it("keeps the best parameters by copy", () => {
    const model = linear(), solver = new Solver(model, data, quiet);
    solver.train();
    const kept = solver.bestParams!.W.data.slice();
    model.params.W.data.fill(0);
    assertEquals(solver.bestParams!.W.data, kept);
  });

  it("converts images to the model's dtype", () => {
    const single = (t: Tensor) => tensor(Float32Array.from(t.data), t.shape);
    const exact = (t: Tensor) => tensor(Float64Array.from(t.data), t.shape);
    const run = (convert: (t: Tensor) => Tensor) => {
      const solver = new Solver(linear(), {
        ...data,
        xTrain: convert(single(data.xTrain)),
        xVal: convert(data.xVal),
      }, quiet);
      solver.train();
      return solver.lossHistory;
    };
    assertEquals(run(single), run(exact));
  });

  it("fills one and the same batch anew, so that iterations allocate nothing", () => {
    const batches = new Set<unknown>();
    const model = linear(), loss = model.loss.bind(model) as (x: Tensor, y?: Labels) => Result;
    model.loss = ((x: Tensor, y?: Labels) => {
      if (y !== undefined) batches.add(x.data);
      return loss(x, y);
    }) as typeof model.loss;
    new Solver(model, data, quiet).train();
    assertEquals(batches.size, 1);
  });

  it("uses gradients' arrays again, but not those that a function of the user's may have kept", () => {
    const random = new RandomState(0), x = random.randn([6, 6000]), y = [0, 1, 2, 0, 1, 2];
    const kept: Tensor[] = [], copies: Tensor[] = [];
    const keep = (dw: Tensor) => {
      kept.push(dw);
      copies.push({ data: dw.data.slice(), shape: dw.shape });
    };
    function train(options: SolverOptions): { loss: readonly number[]; arrays: number } {
      const net = new Net({ inputDim: 6000, layers: [affine(3)] }), arrays = new Set<unknown>();
      const { loss } = net;
      net.loss = ((...args: Parameters<typeof loss>) => {
        const result = loss.apply(net, args) as unknown;
        if (args[1] !== undefined) {
          arrays.add((result as { grads: typeof net.params }).grads.W1.data);
        }
        return result;
      }) as typeof loss;
      const data = { xTrain: x, yTrain: y, xVal: x, yVal: y };
      const solver = new Solver(net, data, {
        batchSize: 2,
        numEpochs: 2,
        verbose: false,
        ...options,
      });
      solver.train();
      return { loss: solver.lossHistory, arrays: arrays.size };
    }
    const { loss, arrays } = train({});
    assertEquals(arrays, 1);
    const transformGradients = (grads: Record<string, Tensor>) => keep(grads.W1);
    assertEquals(train({ transformGradients }), { loss, arrays: 6 });
    const updateRule: SolverOptions["updateRule"] = (w, dw, config) => {
      keep(dw);
      return sgd(w, dw, config);
    };
    assertEquals(train({ updateRule }), { loss, arrays: 6 });
    assertEquals(kept, copies);
  });

  it("augments the batches and not the data", () => {
    const before = data.xTrain.data.slice();
    let batches = 0;
    const solver = new Solver(linear(), data, {
      ...quiet,
      augment: (x, random) => {
        assertEquals(x.shape, [10, 4]);
        x.data.fill(random.rand());
        batches++;
      },
    });
    solver.train();
    assertEquals(batches, solver.iterations);
    assertEquals(data.xTrain.data, before);
    const plain = new Solver(linear(), data, quiet);
    plain.train();
    assertNotEquals(plain.lossHistory[0], solver.lossHistory[0]);
  });

  it("multiplies the learning rate by its decay and its schedule", () => {
    const rates: number[] = [];
    const solver = new Solver(linear(), data, {
      ...quiet,
      optimConfig: { learningRate: 2 },
      lrDecay: 0.5,
      schedule: stepSchedule({ at: [0.5], factor: 0.1 }),
      updateRule: (w, _, config = {}) => {
        rates.push(config.learningRate!);
        return { nextW: w, config };
      },
    });
    solver.train();
    const perIteration = rates.filter((_, i) => i % 2 === 0);
    const expected = [2, 1, 0.05, 0.025].flatMap((rate) => Array(6).fill(rate));
    for (const [i, rate] of expected.entries()) assertAlmostEquals(perIteration[i], rate, 1e-15);
  });

  it("stops early when its patience is over", () => {
    const model = linear();
    const solver = new Solver(model, data, {
      ...quiet,
      numEpochs: 50,
      optimConfig: { learningRate: 0 },
      patience: 3,
    });
    const { end, epoch } = solver.train();
    assertEquals([end, epoch], ["patience", 3]);
    assertEquals(solver.valAccHistory.length, 1 + 3);
    assertEquals(solver.train().end, "patience");
  });

  it("refuses wrong data and options, and says which", () => {
    const attempt = (changes: object, options: object = {}) => () =>
      new Solver(linear(), { ...data, ...changes }, options);
    assertThrows(attempt({ yTrain: [1] }), RangeError, "yTrain must hold one label");
    assertThrows(attempt({ yTrain: [1] }), RangeError, "60: it holds 1");
    assertThrows(attempt({ xVal: zeros([30, 5]) }), RangeError, "shapes [60,4] and [30,5]");
    assertThrows(attempt({ xVal: undefined }), TypeError, "xVal must be a tensor");
    assertThrows(
      attempt({ xVal: zeros([0, 4]), yVal: [] }),
      RangeError,
      "xVal must have no empty dimension",
    );
    assertThrows(attempt({ yVal: Array(30).fill(-1) }), RangeError, "yVal[0]");
    assertThrows(
      attempt({ yVal: Array(30).fill("1") }),
      TypeError,
      'yVal[0] must be a number: received "1"',
    );
    assertThrows(attempt({}, { batch_size: 3 }), TypeError, 'unknown option "batch_size"');
    assertThrows(attempt({}, { batchSize: 0 }), RangeError, "batchSize");
    assertThrows(attempt({}, { numEpochs: 1.5 }), RangeError, "numEpochs");
    assertThrows(
      attempt({}, { updateRule: "lion" }),
      TypeError,
      'adamw, or a function: received "lion"',
    );
    assertThrows(attempt({}, { schedule: cosineSchedule() }), TypeError, "learningRate");
    assertThrows(attempt({}, { seed: 1, random: new RandomState(1) }), TypeError, "not both");
    assertThrows(() => new Solver({ params: {} } as Model, data), TypeError, "model must have");
    const loss = () => zeros([1, 1]);
    const untrained = (params: unknown) => () =>
      new Solver({ params, loss } as unknown as Model, data);
    assertThrows(untrained({}), TypeError, "model.params must not be empty");
    assertThrows(untrained({ W: [1] }), TypeError, "model.params.W must be a tensor");
    const solver = new Solver(linear(), data, quiet);
    assertThrows(() => solver.train({ onprogress: 1 } as object), TypeError, '"onprogress"');
    const signal = { aborted: true } as AbortSignal;
    assertThrows(() => solver.train({ signal }), TypeError, "signal must be an AbortSignal");
    assertThrows(() => solver.checkAccuracy(val.x, [1]), RangeError, "y must hold one label");
  });
});

describe("Solver.checkAccuracy()", () => {
  it("takes the first maximum, and a NaN for one, as numpy's argmax does", () => {
    const scores = tensor(Float64Array.of(1, 1, 0, 0, NaN, 2, -1, -2, 5), [3, 3]);
    const model: Model<Float64Array> = new LinearNet(zeros([3, 3]));
    model.loss = (() => scores) as unknown as typeof model.loss;
    const solver = new Solver(model, { ...data, xTrain: zeros([60, 3]), xVal: zeros([30, 3]) });
    assertEquals(solver.checkAccuracy(zeros([3, 3]), [0, 1, 2]), 1);
    assertEquals(solver.checkAccuracy(zeros([3, 3]), [1, 2, 0]), 0);
  });

  it("gives the same for any size of batch, and draws if told how many", () => {
    const solver = new Solver(linear(), data, quiet);
    const all = solver.checkAccuracy(val.x, val.y);
    for (const batch of [1, 7, 30, 1000]) {
      assertEquals(solver.checkAccuracy(val.x, val.y, null, batch), all);
    }
    const drawn = solver.checkAccuracy(val.x, val.y, 8) * 8;
    assertEquals(drawn, Math.round(drawn));
  });
});

describe("Solver.trainAsync()", () => {
  it("gives the numbers of train, and lets others work meanwhile", async () => {
    const solver = new Solver(new NoisyNet(), data, noisy);
    const slow = new NoisyNet(), patient = new Solver(slow, data, noisy);
    slow.onScores = () => {
      const end = performance.now() + 60;
      while (performance.now() < end);
    };
    solver.train();
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const { end, iteration } = await patient.trainAsync();
    clearInterval(timer);
    assertEquals([end, iteration], ["done", 24]);
    assertEquals(patient.lossHistory, solver.lossHistory);
    assertEquals(patient.valAccHistory, solver.valAccHistory);
    // Five measurements of two batches each take longer than a turn.
    assert(turns >= 5, `others worked ${turns} times`);
  });

  it("waits for what onProgress returns", async () => {
    const solver = new Solver(new NoisyNet(), data, noisy);
    const counts: number[] = [];
    await solver.trainAsync({
      onProgress: async ({ iteration }) => {
        await new Promise((resolve) => setTimeout(resolve));
        counts.push(iteration, solver.iteration);
      },
    });
    assertEquals(counts, Array.from({ length: 48 }, (_, i) => 1 + Math.floor(i / 2)));
  });

  it("tells how far it is", async () => {
    const solver = new Solver(linear(), data, quiet);
    const seen: number[] = [];
    await solver.trainAsync({
      onProgress: (progress) => {
        seen.push(progress.iteration);
        assertEquals(progress.iterations, 24);
        assertEquals(progress.epochs, 4);
        assertEquals(progress.epoch, Math.floor(progress.iteration / 6));
        assertEquals(progress.loss, solver.lossHistory.at(-1));
        assertEquals(progress.valAcc, solver.valAccHistory.at(-1));
        assert(progress.imagesPerSecond > 0);
        assert(progress.secondsLeft >= 0 && Number.isFinite(progress.secondsLeft));
        if (progress.iteration === 24) assertEquals(progress.secondsLeft, 0);
      },
    });
    assertEquals(seen, Array.from({ length: 24 }, (_, i) => i + 1));
  });

  it("stops when told to, keeps what was reached, and can continue", async () => {
    const whole = new Solver(new NoisyNet(), data, noisy);
    whole.train();
    const model = new NoisyNet(), solver = new Solver(model, data, noisy);
    const stop = new AbortController();
    const result = await solver.trainAsync({
      signal: stop.signal,
      onProgress: ({ iteration }) => iteration === 10 && stop.abort(),
    });
    assertEquals([result.end, result.iteration], ["stopped", 10]);
    assertEquals(solver.lossHistory, whole.lossHistory.slice(0, 10));
    assertEquals(solver.valAccHistory, whole.valAccHistory.slice(0, 2));
    // The tenth iteration was measured, but is no candidate: the model has the best of the others.
    assertNotEquals(result.valAcc, solver.valAccHistory.at(-1), "choose other numbers");
    assertEquals(solver.bestValAcc, Math.max(...solver.valAccHistory));
    assertEquals(solver.checkAccuracy(val.x, val.y), solver.bestValAcc);
    assertEquals((await solver.trainAsync()).end, "done");
    assertEquals(solver.lossHistory, whole.lossHistory);
    assertEquals(solver.valAccHistory, whole.valAccHistory);
  });

  it("does nothing if it is told to stop before it starts", async () => {
    const model = linear(), before = numbers(model.params);
    const solver = new Solver(model, data, quiet);
    const result = await solver.trainAsync({ signal: AbortSignal.abort() });
    assertEquals([result.end, result.iteration], ["stopped", 0]);
    assertEquals(numbers(model.params), before);
  });

  it("refuses to train twice at a time, and lets errors through", async () => {
    const solver = new Solver(linear(), data, quiet);
    const running = solver.trainAsync();
    assertThrows(() => solver.train(), TypeError, "training already");
    assertThrows(
      () => solver.resume(solver.checkpoint()),
      TypeError,
      "while the solver is training",
    );
    await running;
    const failing = new Solver(linear(), data, quiet);
    const disk = () => Promise.reject(new Error("the disk is full"));
    await assertRejects(
      () => failing.trainAsync({ onCheckpoint: disk }),
      Error,
      "the disk is full",
    );
    // It has ended, and can be started again.
    assertEquals(failing.train().end, "done");
  });
});

describe("cosineSchedule()", () => {
  it("falls from 1 to its floor along half a wave", () => {
    const schedule = cosineSchedule({ floor: 0.2 });
    assertEquals(schedule(0), 1);
    assertAlmostEquals(schedule(0.5), 0.6, 1e-15);
    assertAlmostEquals(schedule(1), 0.2, 1e-15);
    assertAlmostEquals(schedule(0.25), 0.2 + 0.8 * (1 + Math.SQRT1_2) / 2, 1e-15);
  });

  it("rises to 1 at the end of its warm-up, and falls to its floor at the end of the training run", () => {
    const schedule = cosineSchedule({ warmup: 0.25, floor: 0.2 });
    assertEquals([0, 0.125, 0.25].map(schedule), [0, 0.5, 1]);
    assertAlmostEquals(schedule(0.4375), 0.2 + 0.8 * (1 + Math.SQRT1_2) / 2, 1e-15);
    assertAlmostEquals(schedule(0.625), 0.6, 1e-15);
    assertAlmostEquals(schedule(0.8125), 0.2 + 0.8 * (1 - Math.SQRT1_2) / 2, 1e-15);
    assertEquals(schedule(1), 0.2);
    // Without a warm-up there is nothing to divide by.
    assertEquals(cosineSchedule()(0), 1);
  });

  it("refuses what is not a part", () => {
    assertThrows(
      () => cosineSchedule({ warmup: 2 }),
      RangeError,
      "warmup must be a number from 0 to 1",
    );
    assertThrows(() => cosineSchedule({ warmUp: 0 } as object), TypeError, '"warmUp"');
  });
});

describe("stepSchedule()", () => {
  it("warms up, then falls at each point", () => {
    const schedule = stepSchedule({ warmup: 0.2, at: [0.5, 0.8], factor: 0.5 });
    assertEquals([0, 0.1, 0.2, 0.49, 0.5, 0.79, 0.8].map(schedule), [0, 0.5, 1, 1, 0.5, 0.5, 0.25]);
  });

  it("refuses what is not a list of parts", () => {
    assertThrows(() => stepSchedule({ at: 0.5 as unknown as number[] }), TypeError, "at must be");
    assertThrows(() => stepSchedule({ at: [0.5, 5] }), RangeError, "at[1]");
  });
});
