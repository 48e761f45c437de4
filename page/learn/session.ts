/**
 * The net of the page and its training run: what the views show, and what the buttons do.
 *
 * @module
 */

import type { KernelChoice, LayerDescription, NetDescription, Tensor } from "../../mod.ts";
import { Net } from "../../mod.ts";
import { trainInWorker, type WorkerProgress, type WorkerTraining } from "../../io/worker.ts";
import type { ImageSet } from "../data/image_set.ts";
import { range } from "../data/image_set.ts";
import { pause } from "../turns.ts";
import { netDescription } from "../net/plan.ts";
import { Signal } from "../signal.ts";
import { scoresByTurns } from "./evaluate.ts";
import { DEFAULT_SETTINGS, type Settings } from "./settings.ts";

/** Where a training run stands. */
export type Phase = "idle" | "training" | "paused" | "done";

/** An accuracy, and after which iteration it was measured. */
export interface Accuracy {
  readonly iteration: number;
  readonly value: number;
}

/** What a training run has been like so far. */
export interface History {
  /** The loss of each iteration. */
  readonly losses: readonly number[];
  /** The training accuracy, measured after each epoch. */
  readonly train: readonly Accuracy[];
  /** The validation accuracy, measured every now and then. */
  readonly validation: readonly Accuracy[];
}

const NO_HISTORY: History = { losses: [], train: [], validation: [] };

/** Scores of the first images to validate on. */
export interface Evaluation {
  readonly scores: Tensor;
  readonly accuracy: number;
}

/** A training run as it can be kept. */
export interface Kept {
  readonly set: string;
  readonly layers: readonly LayerDescription[];
  readonly settings: Settings;
  readonly weights: Readonly<Record<string, Tensor>>;
  readonly history: History;
  /** Undefined if it has ended. */
  readonly checkpoint: Uint8Array | undefined;
  readonly progress: WorkerProgress | undefined;
}

/** Images that are evaluated while a net trains, and otherwise. */
const LIVE = 500, FULL = 1000;

/** Milliseconds from one look at the weights to the next. */
const LOOK = 400;

/** An evaluation may take this part of the time; milliseconds from one to the next. */
const EVALUATION_PART = 0.1, SOONEST = 1000, LATEST = 4000;

/** The net, and what trains it. */
export class Session {
  /** The phase has changed. */
  readonly phaseChanged: Signal<Phase> = new Signal();
  /** There is another net, or the images are others. */
  readonly netChanged: Signal = new Signal();
  /** The weights have changed. */
  readonly weightsChanged: Signal = new Signal();
  /** A report has come. */
  readonly progressed: Signal<WorkerProgress> = new Signal();
  /** The images to validate on have been looked at. */
  readonly evaluated: Signal<Evaluation> = new Signal();
  /** Something went wrong, or is worth knowing. */
  readonly failed: Signal<unknown> = new Signal();

  #set: ImageSet;
  #layers: readonly LayerDescription[];
  #settings: Settings = DEFAULT_SETTINGS;
  #net: Net<"float32">;
  #phase: Phase = "idle";
  #training: WorkerTraining | undefined;
  #history: History = NO_HISTORY;
  #progress: WorkerProgress | undefined;
  #evaluation: Evaluation | undefined;
  /** Where a training run of an earlier visit continues. */
  #checkpoint: Uint8Array | undefined;
  #kernels: KernelChoice = "auto";
  #threads: number | undefined;
  /** Counts nets, so that what comes late for another one is left out. */
  #version = 0;

  constructor(set: ImageSet, layers: readonly LayerDescription[]) {
    this.#set = set;
    this.#layers = layers;
    this.#net = this.#newNet();
  }

  get set(): ImageSet {
    return this.#set;
  }

  get layers(): readonly LayerDescription[] {
    return this.#layers;
  }

  /** The net with the weights that were seen last. */
  get net(): Net<"float32"> {
    return this.#net;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get history(): History {
    return this.#history;
  }

  get progress(): WorkerProgress | undefined {
    return this.#progress;
  }

  get evaluation(): Evaluation | undefined {
    return this.#evaluation;
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Takes other settings; those of the net itself apply at once. */
  set settings(settings: Settings) {
    this.#settings = settings;
    this.#net.reg = settings.reg;
    // A training run that was kept continues with its own settings alone.
    this.#checkpoint = undefined;
  }

  /** What the net is, as data. */
  get description(): NetDescription {
    const { shape, classes } = this.#set;
    return netDescription(this.#layers, shape, classes.length, this.#settings.reg);
  }

  /** Takes other images or layers, with new weights. */
  use(set: ImageSet, layers: readonly LayerDescription[]): void {
    this.#set = set;
    this.#layers = layers;
    this.reset();
  }

  /** Trains, or goes on. */
  train(): void {
    if (this.#phase === "paused" && this.#training !== undefined) {
      this.#training.resume();
      this.#enter("training");
      this.#look(this.#training);
    } else if (this.#phase !== "training") this.#start();
  }

  /** Waits until Train is pressed again. */
  pause(): void {
    if (this.#phase !== "training") return;
    this.#training?.pause();
    this.#enter("paused");
  }

  /** Ends the training run, and keeps what was learned. */
  stop(): void {
    this.#checkpoint = undefined;
    if (this.#training === undefined) this.#enter("done");
    else this.#training.stop();
  }

  /** Begins again with new weights. */
  reset(): void {
    this.#end();
    this.#checkpoint = undefined;
    this.#history = NO_HISTORY;
    this.#progress = undefined;
    this.#evaluation = undefined;
    this.#net = this.#newNet();
    this.#enter("idle");
    this.netChanged.emit();
    this.weightsChanged.emit();
    this.evaluate();
  }

  /**
   * Takes a net with its weights.
   *
   * @param layers The layers.
   * @param weights The weights; if they do not fit, nothing changes.
   */
  load(layers: readonly LayerDescription[], weights: Readonly<Record<string, Tensor>>): void {
    const { shape, classes } = this.#set, { reg } = this.#settings;
    const net = Net.fromJSON(netDescription(layers, shape, classes.length, reg));
    net.loadState(weights);
    this.#layers = layers;
    this.reset();
    this.#net = net as Net<"float32">;
    this.#enter("done");
    this.weightsChanged.emit();
    this.evaluate();
  }

  /** Chooses which kernels run. */
  async setKernels(kernels: KernelChoice): Promise<void> {
    this.#kernels = kernels;
    if (this.#isRunning) await this.#training?.setKernels(kernels);
  }

  /** Chooses how many threads there are; gives the reason if there is one alone. */
  async setThreads(threads: number): Promise<string | undefined> {
    this.#threads = threads;
    if (!this.#isRunning) return undefined;
    return (await this.#training?.setThreads(threads))?.reason;
  }

  /** What is kept of the training run, to continue it after a reload. */
  async keep(): Promise<Kept | undefined> {
    if (this.#phase === "idle" || this.#set.id === "own") return undefined;
    const version = this.#version, isRunning = this.#isRunning && this.#training !== undefined;
    const checkpoint = isRunning ? await this.#training!.checkpoint() : this.#checkpoint;
    if (version !== this.#version) return undefined;
    return {
      set: this.#set.id,
      layers: this.#layers,
      settings: this.#settings,
      weights: this.#net.state(),
      history: this.#history,
      checkpoint,
      progress: this.#progress,
    };
  }

  /** Continues what was kept; the images must be those of its set. */
  restore({ layers, settings, weights, history, checkpoint, progress }: Kept): void {
    this.#settings = settings;
    this.#layers = layers;
    this.reset();
    this.#net.loadState(weights);
    this.#history = history;
    this.#progress = progress;
    this.#checkpoint = checkpoint;
    this.#enter(checkpoint === undefined ? "done" : "paused");
    this.weightsChanged.emit();
    this.evaluate();
  }

  /**
   * Looks at the images to validate on, in turns with the page's other work.
   *
   * @param iteration After which iteration that is, if the accuracy belongs to the training run's curve.
   */
  async evaluate(iteration?: number): Promise<void> {
    const version = this.#version, net = this.#net, { xVal, statistics } = this.#set;
    try {
      const scores = await scoresByTurns(net, range(xVal, 0, FULL), statistics);
      if (version === this.#version && net === this.#net) this.#report(scores, iteration);
    } catch (error) {
      if (version === this.#version) this.failed.emit(error);
    }
  }

  get #isRunning(): boolean {
    return this.#phase === "training" || this.#phase === "paused";
  }

  #newNet(): Net<"float32"> {
    return Net.fromJSON(this.description) as Net<"float32">;
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.phaseChanged.emit(phase);
  }

  /** Ends the worker, if there is one. */
  #end(): void {
    this.#version++;
    this.#training?.[Symbol.dispose]();
    this.#training = undefined;
  }

  #start(): void {
    const { xTrain, yTrain, xVal, yVal, statistics } = this.#set, settings = this.#settings;
    const checkpoint = this.#checkpoint;
    this.#end();
    this.#checkpoint = undefined;
    if (checkpoint === undefined) this.#history = NO_HISTORY;
    try {
      this.#training = trainInWorker({
        net: this.#net,
        data: { xTrain, yTrain, xVal, yVal },
        // Shared memory stays here, too; other memory is copied.
        transfer: xTrain.data.buffer instanceof ArrayBuffer === false,
        normalize: statistics,
        solver: {
          updateRule: settings.updateRule,
          optimConfig: { learningRate: settings.learningRate },
          batchSize: Math.min(settings.batchSize, xTrain.shape[0]),
          numEpochs: settings.epochs,
          numValSamples: FULL,
        },
        augment: settings.shift > 0 || settings.mirror
          ? { pad: settings.shift, mirror: settings.mirror }
          : undefined,
        schedule: settings.schedule === "cosine" ? { type: "cosine" } : undefined,
        threads: this.#threads,
        kernels: this.#kernels,
        checkpoint,
        worker: () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" }),
      });
    } catch (error) {
      this.failed.emit(error);
      return;
    }
    this.#enter("training");
    this.#watch(this.#training, this.#version);
    this.#look(this.#training);
  }

  /** Follows a training run to its end. */
  async #watch(training: WorkerTraining, version: number): Promise<void> {
    try {
      for await (const progress of training) {
        if (version !== this.#version) return;
        this.#progress = progress;
        this.progressed.emit(progress);
      }
      const { net, hint, ...histories } = await training.done;
      if (version !== this.#version) return;
      this.#record(histories);
      this.#net.loadState(net.state());
      if (hint !== undefined) this.failed.emit(new Error(hint));
    } catch (error) {
      if (version !== this.#version) return;
      this.failed.emit(error);
    }
    this.#end();
    // What was seen last was of earlier weights, and of fewer images.
    this.#evaluation = undefined;
    this.#enter("done");
    this.weightsChanged.emit();
    this.evaluate(this.#history.losses.length);
  }

  /** Looks at the weights now and then, and at what they make of images. */
  async #look(training: WorkerTraining): Promise<void> {
    const version = this.#version, { xVal } = this.#set;
    let nextEvaluation = 0;
    try {
      while (version === this.#version && this.#phase === "training") {
        if (!document.hidden) {
          const { params, statistics, histories } = await training.state();
          if (version !== this.#version) return;
          this.#record(histories);
          this.#net.loadState({ ...params, ...statistics });
          this.weightsChanged.emit();
          const begin = performance.now();
          if (begin >= nextEvaluation) {
            const scores = await training.predict(range(xVal, 0, LIVE));
            if (version !== this.#version) return;
            this.#report(scores, histories.lossHistory.length);
            const end = performance.now();
            const fair = (end - begin) / EVALUATION_PART;
            nextEvaluation = end + Math.min(Math.max(SOONEST, fair), LATEST);
          }
        }
        await pause(LOOK);
      }
    } catch (error) {
      // A worker that has ended says so to #watch.
      if (version === this.#version && this.#training !== undefined) this.failed.emit(error);
    }
  }

  /** Records what the solver has recorded. */
  #record(
    { lossHistory, trainAccHistory }: Record<"lossHistory" | "trainAccHistory", readonly number[]>,
  ) {
    const { batchSize } = this.#settings, [count] = this.#set.xTrain.shape;
    const perEpoch = Math.max(Math.floor(count / Math.min(batchSize, count)), 1);
    const train = trainAccHistory.map((value, i) => ({
      iteration: i === 0 ? 1 : i * perEpoch,
      value,
    }));
    this.#history = { ...this.#history, losses: lossHistory, train };
  }

  /** Tells what scores say of the images to validate on. */
  #report(scores: Tensor, iteration?: number): void {
    const [N, C] = scores.shape, { yVal } = this.#set;
    let right = 0;
    for (let n = 0; n < N; n++) {
      let best = 0;
      for (let c = 1; c < C; c++) {
        if (scores.data[n * C + c] > scores.data[n * C + best]) best = c;
      }
      if (best === yVal[n]) right++;
    }
    const accuracy = right / N;
    if (iteration !== undefined) {
      const validation = [...this.#history.validation, { iteration, value: accuracy }];
      this.#history = { ...this.#history, validation };
    }
    this.#evaluation = { scores, accuracy };
    this.evaluated.emit(this.#evaluation);
  }
}
