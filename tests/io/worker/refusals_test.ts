import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  affine,
  ArgumentRangeError,
  ArgumentTypeError,
  type LayerDefinition,
  Net,
  type NetDescription,
  zeros,
} from "../../../mod.ts";
import { serveTraining, trainInWorker, type WorkerTrainingOptions } from "../../../io/worker.ts";
import { data, makeNet, options } from "../../support/worker_training.ts";

/** Options that must be refused before a worker starts, with the error's class and what it says. */
const bad: readonly (readonly [
  what: string,
  more: Readonly<Record<string, unknown>>,
  error: typeof ArgumentTypeError | typeof ArgumentRangeError,
  message: string,
])[] = [
  ["an unknown option", { nets: 1 }, ArgumentTypeError, 'unknown option "nets"'],
  ["a net that is none", { net: 3 }, ArgumentTypeError, "net must be a net, or its description"],
  ["a description that is none", { net: {} }, ArgumentTypeError, "description must have inputDim"],
  [
    "a net with a layer of its own",
    { net: new Net({ inputDim: 4, layers: [{ ...affine(3), type: "mine" } as LayerDefinition] }) },
    ArgumentTypeError,
    "layers[0].type must be a layer of this library",
  ],
  [
    "a net with a loss of its own",
    {
      net: new Net({
        inputDim: [1, 8, 8],
        layers: [affine(3)],
        loss: () => ({ loss: 1, dx: zeros([1, 3]) }),
      }),
    },
    ArgumentTypeError,
    "loss must be",
  ],
  [
    "data without labels",
    { data: { ...data, yVal: undefined } },
    ArgumentTypeError,
    "yVal must be",
  ],
  [
    "too few labels",
    { data: { ...data, yVal: [1] } },
    ArgumentRangeError,
    "yVal must hold one label per example, 20",
  ],
  [
    "examples that are read",
    { data: { ...data, xTrain: { shape: [60, 1, 8, 8], read: () => {} } } },
    ArgumentTypeError,
    "xTrain must be a tensor or bytes, as functions do not travel",
  ],
  [
    "means of other channels",
    { normalize: { mean: [], deviation: [] } },
    ArgumentRangeError,
    "mean",
  ],
  ["transfer that is none", { transfer: 1 }, ArgumentTypeError, "transfer must be true or false"],
  ["an unknown option of the solver", { solver: { seed: 1 } }, ArgumentTypeError, '"seed"'],
  [
    "an update rule that is a function",
    { solver: { updateRule: () => {} } },
    ArgumentTypeError,
    "solver.updateRule must be the name of an update rule",
  ],
  [
    "an unknown update rule",
    { solver: { updateRule: "best" } },
    ArgumentTypeError,
    "be one of sgd",
  ],
  ["a batch of no examples", { solver: { batchSize: 0 } }, ArgumentRangeError, "batchSize must be"],
  ["a negative clip", { solver: { clip: -1 } }, ArgumentRangeError, "maxNorm must be"],
  [
    "an average that is a function",
    { solver: { average: () => {} } },
    ArgumentTypeError,
    "solver.average must be described",
  ],
  [
    "parameters that there are not",
    { schedule: undefined, solver: { frozen: ["W9"] } },
    ArgumentRangeError,
    "there is no W9",
  ],
  [
    "a schedule that is a function",
    { schedule: () => 1 },
    ArgumentTypeError,
    "schedule must be described as { type, ... }",
  ],
  [
    "an unknown schedule",
    { schedule: { type: "line" } },
    ArgumentTypeError,
    "schedule.type must be",
  ],
  [
    "an unknown option of a schedule",
    { schedule: { type: "step", warmup: 0, floor: 1 } },
    ArgumentTypeError,
    '"floor"',
  ],
  ["an augmentation that is none", { augment: { pad: -1 } }, ArgumentRangeError, "pad must be"],
  ["half a thread", { threads: 0.5 }, ArgumentRangeError, "threads must be"],
  ["unknown kernels", { kernels: "fast" }, ArgumentTypeError, "kernels must be one of"],
  ["a negative seed", { seed: -1 }, ArgumentRangeError, "seed must be"],
  ["a checkpoint that is none", { checkpoint: [1] }, ArgumentTypeError, "checkpoint must be"],
  [
    "bytes that are no checkpoint",
    { checkpoint: new Uint8Array(9) },
    ArgumentTypeError,
    "bytes must be a checkpoint",
  ],
  ["a worker that is none", { worker: {} }, ArgumentTypeError, "worker must be a function"],
];

/** A worker of a text. */
function workerOf(text: string): Worker {
  return new Worker(`data:text/javascript,${encodeURIComponent(text)}`, { type: "module" });
}

const library = new URL("../../../io/worker.ts", import.meta.url);

describe("trainInWorker() refuses", () => {
  for (const [what, more, error, message] of bad) {
    it(`${what}, before a worker starts`, () => {
      let started = false;
      const worker = () => {
        started = true;
        return workerOf("");
      };
      const all = { ...options, net: makeNet(), worker, ...more } as unknown;
      const thrown = assertThrows(() => trainInWorker(all as WorkerTrainingOptions), error);
      assertEquals([thrown.message.includes(message), started], [true, false], thrown.message);
    });
  }

  it("a checkpoint of another net, before a worker starts", async () => {
    const other = makeNet().toJSON(), layers = [...other.layers.slice(0, -1), affineOf(4)];
    using training = trainInWorker({ ...options, net: { ...other, layers } });
    training.pause();
    const checkpoint = await training.checkpoint();
    const call = () => trainInWorker({ ...options, net: makeNet(), checkpoint });
    assertThrows(call, ArgumentRangeError, "W2");
  });
});

const affineOf = (M: number): NetDescription["layers"][number] => ({ type: "affine", args: [M] });

describe("A worker that dies", () => {
  /** What a training run rejects with. */
  async function failure(worker: () => Worker, message: string): Promise<void> {
    using training = trainInWorker({ ...options, net: makeNet(), worker });
    const state = training.state();
    // Both are heard, whichever comes first.
    state.catch(() => {});
    await assertRejects(() => training.done, Error, message);
    await assertRejects(() => state, Error, message);
    await assertRejects(() => training.predict(data.xVal), Error, message);
  }

  it("rejects if its file is not there", async () => {
    const url = new URL("./nothing.ts", import.meta.url);
    await failure(() => new Worker(url, { type: "module" }), "");
  });
  it("rejects if it throws", async () => {
    await failure(() => workerOf(`throw new Error("no luck")`), "no luck");
  });
  it("rejects if it ends by itself", async () => {
    const text =
      `import { serveTraining } from "${library}"; serveTraining(); setTimeout(close, 500);`;
    const endless = { ...options.solver, numEpochs: 1e6 };
    using training = trainInWorker({
      ...options,
      solver: endless,
      net: makeNet(),
      worker: () => workerOf(text),
    });
    await assertRejects(() => training.done, Error, "The training worker has ended");
  });
  it("rejects if another ends it", async () => {
    let worker: Worker | undefined;
    using training = trainInWorker({
      ...options,
      solver: { ...options.solver, numEpochs: 1e6 },
      net: makeNet(),
      worker: () =>
        worker = new Worker(new URL("./worker/training_worker.ts", library), { type: "module" }),
    });
    for await (const _ of training) break;
    worker?.terminate();
    await assertRejects(() => training.done, Error, "The training worker has ended");
  });
});

describe("serveTraining()", () => {
  it("refuses to run where there is no worker", () => {
    assertThrows(serveTraining, Error, "must be called in a worker");
  });
});
