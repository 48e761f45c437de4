/**
 * A checkpoint as bytes.
 *
 * The bytes are a safetensors file, https://huggingface.co/docs/safetensors: other programs can read
 * the tensors from it under names such as "params.W1". All that is not a tensor stands as JSON in the
 * file's metadata, and before it the checksum of all other bytes of the file, at a place that is known
 * without reading the JSON. Format 1 had no checksum.
 *
 * @module
 */

import { checkShape, checkType, isBytes, isObject } from "../../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../../kernels/errors.ts";
import { sizeOf, type Tensor } from "../../kernels/tensor.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { checkKeys } from "../checks.ts";
import { crc32 } from "./crc32.ts";
import { pack, unpack } from "../plain_data.ts";
import { SAFETENSORS_DTYPES, writeSafetensors } from "../safetensors.ts";
import { newArray } from "../tensor.ts";

const FORMAT = "cnn-layers checkpoint 2", FORMAT_1 = "cnn-layers checkpoint 1";

/** How a file continues after the 8 bytes of the header's length, up to the digits of the checksum. */
const BEGINNING = `{"__metadata__":{"format":"${FORMAT}","crc32":"`;
const CHECKSUM_AT = 8 + BEGINNING.length, CHECKSUM_END = CHECKSUM_AT + 8;

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
  const tensors = new Map<string, Tensor>();
  const rest = pack(checkpoint, "checkpoint", tensors);
  const metadata = { format: FORMAT, crc32: "00000000", checkpoint: JSON.stringify(rest) };
  const bytes = writeSafetensors(tensors, metadata);
  bytes.set(new TextEncoder().encode(checksumOf(bytes)), CHECKSUM_AT);
  return bytes;
}

/** The checksum of all bytes but its own, as 8 digits. */
function checksumOf(bytes: Uint8Array): string {
  const crc = crc32(bytes.subarray(CHECKSUM_END), crc32(bytes.subarray(0, CHECKSUM_AT)));
  return crc.toString(16).padStart(8, "0");
}

/**
 * The checkpoint that bytes hold. See {@linkcode encodeCheckpoint} for an example.
 *
 * @param bytes What {@linkcode encodeCheckpoint} returned.
 * @returns The checkpoint.
 * @throws {TypeError} If the bytes are not a Uint8Array, not a checkpoint, or not as they were written.
 * @throws {RangeError} If bytes are missing or left over.
 */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  checkType(isBytes(bytes), "bytes", "be a Uint8Array", bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length < 8 ? NaN : Number(view.getBigUint64(0, true));
  if (!(8 + length <= bytes.length)) {
    throw new ArgumentRangeError(
      `A checkpoint must hold its whole header: it has ${bytes.length} bytes`,
    );
  }
  const start = 8 + length;
  const { checksum, checkpoint, entries } = parsed(() => readHeader(bytes.subarray(8, start)));
  const expected = start + (entries.at(-1)?.[1].data_offsets[1] ?? 0);
  if (expected !== bytes.length) {
    throw new ArgumentRangeError(
      `A checkpoint must have as many bytes as its header says, ${expected}: it has ${bytes.length}`,
    );
  }
  return parsed(() => {
    const found = checksum === undefined ? undefined : checksumOf(bytes);
    if (found !== checksum) {
      throw new ArgumentTypeError(
        `its bytes are damaged, as their checksum is ${found}, not ${checksum}`,
      );
    }
    const tensors = new Map(entries);
    const data = unpack(JSON.parse(checkpoint), (path) => {
      const entry = tensors.get(path);
      if (entry === undefined) throw new ArgumentTypeError(`it has not one tensor ${path}`);
      tensors.delete(path);
      return tensorOf(entry, bytes.subarray(start));
    }, checksum !== undefined);
    const [unused] = tensors.keys();
    if (unused !== undefined) throw new ArgumentTypeError(`its tensor ${unused} has no place`);
    return data as Checkpoint;
  });
}

/** What the header of a file says. */
interface Header {
  /** Undefined in a file of format 1. */
  readonly checksum: string | undefined;
  /** All that is not a tensor, as JSON. */
  readonly checkpoint: string;
  /** The tensors by name. One begins where the one before it ends. */
  readonly entries: readonly (readonly [string, Entry])[];
}

function readHeader(bytes: Uint8Array): Header {
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  const isNew = text.startsWith(BEGINNING);
  const header = JSON.parse(text), metadata = header?.__metadata__;
  checkType(isObject(metadata), "its metadata", "be an object", metadata);
  const { format, crc32: checksum, checkpoint } = metadata as Record<string, unknown>;
  if (format !== (isNew ? FORMAT : FORMAT_1)) {
    throw new ArgumentTypeError(`its format is ${format}`);
  }
  checkKeys("its metadata", metadata, ["format", "checkpoint", ...(isNew ? ["crc32"] : [])]);
  checkType(typeof checkpoint === "string", "its checkpoint", "be JSON", checkpoint);
  delete header.__metadata__;
  const entries = Object.entries<Entry>(header);
  let end = 0;
  for (const [name, entry] of entries) end = checkEntry(name, entry, end);
  return { checksum: isNew ? String(checksum) : undefined, checkpoint, entries };
}

/** Checks that a tensor lies where the one before it ends, with room for its numbers; gives its end. */
function checkEntry(name: string, entry: unknown, start: number): number {
  checkKeys(name, entry, ["dtype", "shape", "data_offsets"]);
  const { dtype, shape, data_offsets } = entry;
  const isKnown = dtype === SAFETENSORS_DTYPES.float64 || dtype === SAFETENSORS_DTYPES.float32;
  checkType(isKnown, `The dtype of ${name}`, "be F64 or F32", dtype);
  checkShape(`The shape of ${name}`, shape);
  const end = start + sizeOf(shape) * bytesOf(dtype);
  const right = Array.isArray(data_offsets) && data_offsets.length === 2 &&
    data_offsets[0] === start && data_offsets[1] === end;
  if (!right) {
    throw new ArgumentTypeError(
      `${name} must lie at [${start},${end}]: it lies at [${data_offsets}]`,
    );
  }
  return end;
}

function bytesOf(dtype: string): number {
  return dtype === SAFETENSORS_DTYPES.float64 ? 8 : 4;
}

function tensorOf({ dtype, shape, data_offsets: [from, to] }: Entry, bytes: Uint8Array): Tensor {
  const data = newArray(
    sizeOf(shape),
    dtype === SAFETENSORS_DTYPES.float64 ? "float64" : "float32",
  );
  // Copied, as the numbers of a dtype need not start at a multiple of their size.
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength).set(bytes.subarray(from, to));
  return { data, shape };
}

/** What is read from bytes, which may not be a checkpoint. */
function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    // What JSON.parse has to say is about the bytes, not about a checkpoint.
    const reason = cause instanceof TypeError || cause instanceof RangeError
      ? `: ${cause.message}`
      : "";
    throw new ArgumentTypeError(
      `bytes must be a checkpoint of encodeCheckpoint${reason}`,
      "INVALID_FORMAT",
      {
        cause,
      },
    );
  }
}
