/**
 * What {@linkcode trainInWorker} is told, and what it makes of it.
 *
 * @module
 */

import { checkType, checkWhole, isBytes, isObject } from "../../kernels/check.ts";
import { ArgumentTypeError } from "../../kernels/errors.ts";
import { type KernelChoice, useKernels } from "../../kernels/select.ts";
import type { DType, Tensor } from "../../kernels/tensor.ts";
import {
  checkBoolean,
  checkFunction,
  checkKeys,
  option,
  readOptions,
  unchecked,
} from "../../nn/checks.ts";
import type { CropAndMirrorOptions } from "../../nn/data/crop_and_mirror.ts";
import { type ByteTensor, checkSource, isRead } from "../../nn/data/examples.ts";
import type { ChannelStatistics } from "../../nn/data/split.ts";
import type { Labels, ModelState } from "../../nn/model.ts";
import type { NetDescription } from "../../nn/nets/layered_net.ts";
import { Net } from "../../nn/nets/net.ts";
import { copyOf } from "../../nn/plain_data.ts";
import type { AnyWorker } from "./host.ts";
import { buffersOf } from "./messages.ts";
import {
  netOf,
  type ScheduleDescription,
  type Setup,
  solverOf,
  type WorkerData,
  type WorkerSolverOptions,
} from "./setup.ts";

/** A net that can travel: every net of this library that is made of its layers. */
export interface TravellingNet {
  /** Its parameters, by name. */
  readonly params: Readonly<Record<string, Tensor>>;
  /** Its description. */
  toJSON(): NetDescription;
  /** What training writes beside the parameters. */
  getState(): ModelState;
}

/** The options of {@linkcode trainInWorker}. */
export interface WorkerTrainingOptions {
  /**
   * The net, or its description, whose weights are then those of `Net.fromJSON`. A net is copied, and
   * stays as it is.
   */
  readonly net: TravellingNet | NetDescription;
  /** What it learns from, and is measured by: sent to the worker once. */
  readonly data: WorkerData;
  /**
   * Whether the buffers of xTrain and xVal are moved to the worker, not copied: they are empty here
   * afterwards. Default: false.
   */
  readonly transfer?: boolean;
  /**
   * Means and deviations of the channels: the worker brings examples to scale batch by batch, so that
   * images can travel as bytes, and predict does so too. Default: none.
   */
  readonly normalize?: ChannelStatistics;
  /** How the solver trains. */
  readonly solver?: WorkerSolverOptions;
  /** How {@linkcode cropAndMirror} changes each batch. Default: not at all. */
  readonly augment?: CropAndMirrorOptions;
  /** A factor of the learning rate that depends on the progress. Default: 1. */
  readonly schedule?: ScheduleDescription;
  /** How many threads layers run on. Default: every core where memory can be shared, else 1. */
  readonly threads?: number;
  /** Which kernels run: see {@linkcode useKernels}. Default: "auto". */
  readonly kernels?: KernelChoice;
  /** Seeds the draw of batches. Default: 0. */
  readonly seed?: number;
  /** Continues where this was taken, with the same net, data and options. Default: from the start. */
  readonly checkpoint?: Uint8Array;
  /** Starts the worker, whose file calls {@linkcode serveTraining}. Default: the library's own. */
  readonly worker?: () => AnyWorker;
}

const OPTIONS = {
  net: unchecked<WorkerTrainingOptions["net"]>,
  data: unchecked<WorkerData>,
  transfer: option(checkBoolean, false),
  normalize: unchecked<ChannelStatistics | undefined>,
  solver: unchecked<WorkerSolverOptions | undefined>,
  augment: unchecked<CropAndMirrorOptions | undefined>,
  schedule: unchecked<ScheduleDescription | undefined>,
  threads: option(checkThreads),
  kernels: option(checkKernels, "auto" as KernelChoice),
  seed: unchecked<number | undefined>,
  checkpoint: option(checkBytes),
  worker: option(checkFunction<() => AnyWorker>),
};

/** Checks a number of threads. */
export function checkThreads(name: string, value: unknown): asserts value is number {
  checkWhole(name, value, 1, 256);
}

/** Checks a choice of kernels. */
export function checkKernels(_: string, value: unknown): asserts value is KernelChoice {
  useKernels(value as KernelChoice)[Symbol.dispose]();
}

function checkBytes(name: string, value: unknown): asserts value is Uint8Array {
  checkType(isBytes(value), name, "be a Uint8Array, as checkpoint() gives", value);
}

/** Checks that examples can travel. */
export function checkTravels(name: string, x: unknown): asserts x is Tensor | ByteTensor {
  checkType(!isRead(x), name, "be a tensor or bytes, as functions do not travel to a worker", x);
  checkSource(name, x);
}

/** What a training run starts with. */
export interface Start {
  /** What the worker is sent. */
  readonly setup: Setup;
  /** Buffers that are moved there. */
  readonly transfer: ArrayBuffer[];
  /** A net that is the owner's, for the final weights. */
  readonly net: Net<DType>;
  /** Starts the worker. */
  readonly worker: (() => AnyWorker) | undefined;
}

/**
 * Reads the options.
 *
 * @param options What trainInWorker was given.
 * @returns What the training run starts with: nothing in it is the caller's, unless it is moved.
 * @throws {TypeError} If a type is wrong, an option is unknown, or something cannot travel.
 * @throws {RangeError} If a number is out of range, or sizes do not fit each other.
 */
export function readStart(options: WorkerTrainingOptions): Start {
  const { net: given, data, transfer, solver = {}, worker, ...rest } = //
    readOptions("options", options, OPTIONS);
  checkKeys("data", data, ["xTrain", "yTrain", "xVal", "yVal"]);
  checkTravels("xTrain", data.xTrain);
  checkTravels("xVal", data.xVal);
  const { description, params, modelState } = travelling(given), plain = { solver, ...rest };
  const setup: Setup = { description, params, modelState, data: data as WorkerData, ...plain };
  // The solver that the worker will make, which refuses what is wrong before there is a worker.
  const net = netOf(setup);
  solverOf(net, setup);
  const sent = {
    ...cloneOf(plain),
    description,
    params: copyOf(params, "net.params"),
    modelState,
    data: sentData(setup.data, transfer),
  };
  const { xTrain, xVal } = sent.data;
  const arrays = [xTrain, xVal, ...Object.values(sent.params)].map(({ data }) => data);
  return { setup: sent, transfer: buffersOf(arrays), net, worker };
}

/** A net as data. */
function travelling(
  net: WorkerTrainingOptions["net"],
): Pick<Setup, "description" | "params" | "modelState"> {
  checkType(isObject(net), "net", "be a net, or its description", net);
  const from = "toJSON" in net ? net : Net.fromJSON(net);
  return { description: from.toJSON(), params: from.params, modelState: from.getState() };
}

/** A copy of what must be plain data. */
function cloneOf<T>(plain: T): T {
  try {
    return structuredClone(plain);
  } catch (cause) {
    const { message } = cause as Error;
    const text = `options must be plain data, as they travel to a worker: ${message}`;
    throw new ArgumentTypeError(text, "INVALID_TYPE", { cause });
  }
}

/** The data as they are sent: copies, or what is moved. */
function sentData({ xTrain, yTrain, xVal, yVal }: WorkerData, transfer: boolean): WorkerData {
  const sent = ({ data, shape }: Tensor | ByteTensor) =>
    ({
      data: transfer ? data : newCopy(data),
      shape: [...shape],
    }) as Tensor | ByteTensor;
  const labels = (y: Labels) => Int32Array.from(y);
  return { xTrain: sent(xTrain), yTrain: labels(yTrain), xVal: sent(xVal), yVal: labels(yVal) };
}

/** A copy of an array, whose buffer holds nothing else. */
export function newCopy<A extends Tensor["data"] | Uint8Array>(data: A): A {
  // Not slice(), which makes a view of a Node Buffer.
  return (isBytes(data) ? new Uint8Array(data) : data.slice()) as A;
}
