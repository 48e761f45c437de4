/**
 * A training as plain data, and as bytes.
 *
 * The bytes are a safetensors file, https://huggingface.co/docs/safetensors: other programs can read
 * the tensors from it under names such as "params.W1". All that is no tensor stands as JSON in the
 * file's metadata.
 *
 * @module
 */

import {
  checkShape,
  checkTensor,
  checkType,
  isBytes,
  isFloatArray,
  isObject,
} from "../kernels/check.ts";
import { dtypeOf, sizeOf } from "../kernels/tensor.ts";
import type { ModelState } from "./model.ts";
import type { OptimConfig } from "./optim.ts";
import type { RandomStateData } from "./random.ts";
import { type DType, newArray, type Tensor } from "./tensor.ts";

/** Where a training stands: all that a resumed one needs to give the losses of an uninterrupted one. */
export interface Checkpoint {
  /** Iterations done. */
  readonly iteration: number;
  /** Whether the accuracies that belong to this iteration are still to be computed. */
  readonly checkPending: boolean;
  /** Name of the update rule. */
  readonly updateRule: string;
  /** Examples in a batch. */
  readonly batchSize: number;
  /** Examples to train on. */
  readonly numTrain: number;
  /** The parameters. */
  readonly params: Readonly<Record<string, Tensor>>;
  /** The update rule's settings and memory of each parameter. */
  readonly optimConfigs: Readonly<Record<string, OptimConfig>>;
  /** Where the solver's random numbers stand. */
  readonly random: RandomStateData;
  /** What the model carries beside its parameters; null if nothing. */
  readonly modelState: ModelState | null;
  /** The loss of each iteration. */
  readonly lossHistory: readonly number[];
  /** The training accuracy of the first iteration and of each epoch. */
  readonly trainAccHistory: readonly number[];
  /** The validation accuracy of the first iteration and of each epoch. */
  readonly valAccHistory: readonly number[];
  /** The best validation accuracy. */
  readonly bestValAcc: number;
  /** The parameters that had it; null before the first was computed. */
  readonly bestParams: Readonly<Record<string, Tensor>> | null;
  /** What the model carried then beside its parameters; null if nothing. */
  readonly bestModelState: ModelState | null;
}

/** A deep copy of plain data: objects, arrays, typed arrays, numbers and the like. */
export function copyOf<T>(value: T): T {
  if (!isObject(value)) return value;
  if (isFloatArray(value)) return value.slice() as T;
  if (Array.isArray(value)) return value.map(copyOf) as T;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, copyOf(part)])) as T;
}

/** The names that safetensors has for our dtypes. */
const NAMES = { float64: "F64", float32: "F32" } as const;
const FORMAT = "cnn-layers checkpoint 1";

/** A tensor's entry in the header of the file. */
interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/**
 * A checkpoint as bytes, to the last bit: a safetensors file.
 *
 * @example
 * ```ts
 * import { decodeCheckpoint, encodeCheckpoint, full, RandomState, Solver, ThreeLayerConvNet } from "@cnn-layers/cnn-layers";
 *
 * const model = new ThreeLayerConvNet({ inputDim: [1, 4, 4], numFilters: 2, filterSize: 3, hiddenDim: 4, numClasses: 2 });
 * const x = new RandomState(0).randn([4, 1, 4, 4]), y = [0, 1, 0, 1];
 * const solver = new Solver(model, { xTrain: x, yTrain: y, xVal: x, yVal: y });
 * const bytes = encodeCheckpoint(solver.checkpoint()); // to a file, IndexedDB, a server ...
 * solver.resume(decodeCheckpoint(bytes));
 * ```
 *
 * @param checkpoint What {@linkcode Solver.checkpoint} returned.
 * @returns The bytes.
 * @throws {TypeError} If it holds something else than plain data.
 */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {};
  let size = 0;
  const tensors = new Map<string, Tensor>();
  const rest = replaceTensors(checkpoint, "", tensors);
  header.__metadata__ = { format: FORMAT, checkpoint: JSON.stringify(rest) };
  for (const [name, { data, shape }] of tensors) {
    header[name] = {
      dtype: NAMES[dtypeOf(data)],
      shape,
      data_offsets: [size, size + data.byteLength],
    } satisfies Entry;
    size += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  // Spaces after the header keep the tensors' numbers at multiples of 8 bytes.
  const start = 8 + Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(start + size);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.fill(0x20, 8, start);
  bytes.set(text, 8);
  let offset = start;
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return bytes;
}

/** Plain data that JSON keeps exactly, with the tensors taken out of it. */
function replaceTensors(value: unknown, path: string, tensors: Map<string, Tensor>): unknown {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") {
    return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: text(value) };
  }
  if (Array.isArray(value)) {
    return value.map((part, i) => replaceTensors(part, `${path}.${i}`, tensors));
  }
  checkType(
    isObject(value) && !ArrayBuffer.isView(value),
    `checkpoint.${path}`,
    "be plain data",
    value,
  );
  if ("data" in value && "shape" in value) {
    checkTensor(`checkpoint.${path}`, value);
    tensors.set(path, value);
    return { $tensor: path };
  }
  const parts: Record<string, unknown> = {};
  for (const [key, part] of Object.entries(value)) {
    if (part === undefined) continue;
    parts[key] = replaceTensors(part, path === "" ? key : `${path}.${key}`, tensors);
  }
  return parts;
}

function text(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

/**
 * The checkpoint that bytes hold. See {@linkcode encodeCheckpoint} for an example.
 *
 * @param bytes What {@linkcode encodeCheckpoint} returned.
 * @returns The checkpoint.
 * @throws {TypeError} If the bytes are no Uint8Array, or no checkpoint.
 * @throws {RangeError} If bytes are missing or left over.
 */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  checkType(isBytes(bytes), "bytes", "be a Uint8Array", bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length < 8 ? NaN : Number(view.getBigUint64(0, true));
  if (!(8 + length <= bytes.length)) {
    throw new RangeError(`A checkpoint must hold its whole header: it has ${bytes.length} bytes`);
  }
  const start = 8 + length;
  const { __metadata__: metadata, ...header } = parsed(() => {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, start));
    const header = JSON.parse(text);
    if (header.__metadata__.format === FORMAT) return header;
    throw new TypeError(`its format is ${header.__metadata__.format}`);
  });
  const expected = Math.max(
    0,
    ...Object.values<Entry>(header).map((entry) => entry.data_offsets[1]),
  );
  if (start + expected !== bytes.length) {
    throw new RangeError(
      `A checkpoint must have as many bytes as its header says, ${start + expected}: ` +
        `it has ${bytes.length}`,
    );
  }
  const tensorAt = (name: string): Tensor => {
    const { dtype, shape, data_offsets: [from, to] }: Entry = header[name];
    checkShape(`The shape of ${name}`, shape);
    const ours: DType = dtype === NAMES.float64 ? "float64" : "float32";
    const data = newArray(sizeOf(shape), ours);
    // Copied, as the numbers of a dtype need not start at a multiple of their size.
    new Uint8Array(data.buffer).set(bytes.subarray(start + from, start + to));
    return { data, shape };
  };
  return parsed(() =>
    JSON.parse(metadata.checkpoint, (_, value) => {
      if (!isObject(value)) return value;
      if ("$tensor" in value) return tensorAt(String(value.$tensor));
      return "$number" in value ? Number(value.$number) : value;
    })
  );
}

/** What is read from bytes, which may be no checkpoint. */
function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new TypeError(`bytes must be a checkpoint of encodeCheckpoint`, { cause });
  }
}
