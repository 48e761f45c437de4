/**
 * Weights as safetensors files, the format of PyTorch, JAX and the model hubs. A separate entry point:
 * `@cnn-layers/cnn-layers/safetensors`. It needs no package.
 *
 * @example A net's weights, to a file's bytes and into another net
 * ```ts
 * import { affine, batchnorm, Net, relu } from "@cnn-layers/cnn-layers";
 * import { decodeSafetensors, encodeSafetensors } from "@cnn-layers/cnn-layers/safetensors";
 *
 * const make = () => new Net({ inputDim: 4, layers: [affine(8), batchnorm(), relu(), affine(3)] });
 * const trained = make(), other = make();
 * const bytes = encodeSafetensors(trained.state(), { license: "MIT" });
 * other.loadState(decodeSafetensors(bytes).tensors);
 * ```
 *
 * Source: https://huggingface.co/docs/safetensors.
 *
 * @module
 */

import {
  checkOptions,
  checkShape,
  checkTensor,
  checkType,
  isBytes,
  isObject,
} from "../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../kernels/errors.ts";
import { show, type Tensor } from "../kernels/tensor.ts";
import { checkKeys } from "../nn/checks.ts";
import { METADATA, writeSafetensors } from "../nn/safetensors.ts";
import { type ElementName, ELEMENTS, exactSize, readElements } from "./elements.ts";
import { duplicateKey } from "./json.ts";

export type { FloatArray, Tensor } from "../kernels/tensor.ts";
export type { ResNet18Options } from "./torchvision.ts";
export { resnet18, resnet18State } from "./torchvision.ts";

/** What a safetensors file holds. */
export interface Safetensors {
  /** The tensors, by name. */
  readonly tensors: Record<string, Tensor>;
  /** Words beside them. */
  readonly metadata: Record<string, string>;
}

/** The longest header that readers take. */
const MAX_HEADER = 100_000_000;

/**
 * Tensors as a safetensors file: float64 as F64, float32 as F32.
 *
 * @example
 * ```ts
 * import { tensor } from "@cnn-layers/cnn-layers";
 * import { encodeSafetensors } from "@cnn-layers/cnn-layers/safetensors";
 *
 * const W = tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]);
 * const bytes = encodeSafetensors({ W }, { format: "pt" });
 * console.log(bytes.length % 8); // 0
 * ```
 *
 * @param record The tensors, by name.
 * @param metadata Words beside them. Default: none.
 * @returns The bytes of the file.
 * @throws {TypeError} If a value is not a tensor, a word not a string, or a name cannot be written.
 * @throws {RangeError} If a tensor's data does not fit its shape, or the names take more than 100 MB.
 */
export function encodeSafetensors(
  record: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  checkType(isObject(record), "record", "be an object of tensors", record);
  const entries = Object.entries(record);
  for (const [name, value] of entries) {
    checkName(name);
    checkTensor(name, value);
  }
  checkWords("metadata", metadata);
  const hasWords = Object.keys(metadata).length > 0;
  const bytes = writeSafetensors(entries, hasWords ? metadata : undefined);
  const length = new DataView(bytes.buffer).getUint32(0, true);
  checkHeaderLength(length);
  return bytes;
}

/**
 * The tensors of a safetensors file. F64 becomes float64; F32, F16 and BF16 become float32, exactly.
 * Whole numbers and booleans become the smaller of float32 and float64 that holds all of their type: a
 * state dict of PyTorch counts batches as I64. Every rule of the format is checked.
 *
 * @example
 * ```ts
 * import { full } from "@cnn-layers/cnn-layers";
 * import { decodeSafetensors, encodeSafetensors } from "@cnn-layers/cnn-layers/safetensors";
 *
 * const { tensors, metadata } = decodeSafetensors(encodeSafetensors({ b: full([3], 0.5) }));
 * console.log(tensors.b.data, metadata); // Float64Array [ 0.5, 0.5, 0.5 ] {}
 * ```
 *
 * @param bytes The file.
 * @returns The tensors, which are copies, and the words beside them.
 * @throws {TypeError} If the bytes are not a Uint8Array, not a safetensors file, or a dtype has no
 * exact counterpart: F8_E4M3, C64 and the like.
 * @throws {RangeError} If bytes are missing or left over, the header is longer than 100 MB, or a whole
 * number is too large to be exact.
 */
export function decodeSafetensors(bytes: Uint8Array): Safetensors {
  checkType(isBytes(bytes), "bytes", "be a Uint8Array", bytes);
  const length = headerLength(bytes), start = 8 + length;
  const { metadata, entries } = readHeader(bytes.subarray(8, start));
  const size = bytes.length - start;
  checkOffsets(entries, size);
  const tensors = entries.map(({ name, type, shape, from, to }) => {
    const data = readElements(name, type, bytes.subarray(start + from, start + to), true);
    return [name, { data, shape }] as const;
  });
  return { tensors: Object.fromEntries(tensors), metadata };
}

/** A tensor's entry in the header. */
interface Entry {
  readonly name: string;
  readonly type: ElementName;
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
}

function headerLength(bytes: Uint8Array): number {
  const found = bytes.length;
  if (found < 8) {
    throw new ArgumentRangeError(`A safetensors file must have 8 bytes or more: received ${found}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, found);
  const length = Number(view.getBigUint64(0, true));
  checkHeaderLength(length);
  if (8 + length <= found) return length;
  throw new ArgumentRangeError(
    `A safetensors file must hold its whole header of ${length} bytes: it has ${
      found - 8
    } behind ` +
      `the header's length`,
  );
}

function checkHeaderLength(length: number): void {
  if (length <= MAX_HEADER) return;
  throw new ArgumentRangeError(
    `The header of a safetensors file must be at most ${MAX_HEADER} bytes long: it is ${length}`,
  );
}

function readHeader(bytes: Uint8Array) {
  const header = parseHeader(bytes);
  const { [METADATA]: metadata = {}, ...rest } = header;
  checkWords(METADATA, metadata);
  const entries = Object.entries(rest).map(([name, entry]) => readEntry(name, entry));
  return { metadata: metadata as Record<string, string>, entries };
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let text: string, header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ArgumentTypeError(
      `The header of a safetensors file must be JSON in UTF-8: ${reason}`,
      "INVALID_FORMAT",
      { cause },
    );
  }
  const isRecord = isObject(header) && text.startsWith("{");
  const what = "The header of a safetensors file";
  checkType(isRecord, what, "be an object that begins with {", text.slice(0, 20), "INVALID_FORMAT");
  const twice = duplicateKey(text);
  if (twice !== undefined) {
    throw new ArgumentTypeError(`${what} must name ${twice} once: it does twice`, "INVALID_FORMAT");
  }
  return header as Record<string, unknown>;
}

/** Reads a tensor's entry; where it lies is checked beside the others. */
function readEntry(name: string, entry: unknown): Entry {
  checkName(name);
  checkKeys(name, entry, ["dtype", "shape", "data_offsets"]);
  const { dtype, shape, data_offsets: offsets } = entry;
  const isKnown = typeof dtype === "string" && Object.hasOwn(ELEMENTS, dtype);
  const known = Object.keys(ELEMENTS).join();
  checkType(isKnown, `The dtype of ${name}`, `be one of ${known}`, dtype, "INVALID_DTYPE");
  const type = dtype as ElementName;
  checkShape(`The shape of ${name}`, shape);
  checkShape(`The data_offsets of ${name}`, offsets, 2);
  const [from, to] = offsets, count = exactSize(shape);
  const size = count === undefined ? NaN : count * ELEMENTS[type].bytes;
  if (size !== to - from) {
    throw new ArgumentRangeError(
      `The data of ${name} must have the bytes of its shape ${show(shape)} of ${type}: ` +
        `it lies at ${show(offsets)}`,
    );
  }
  return { name, type, shape: [...shape], from, to };
}

/** Checks that one tensor begins where another ends, from the first byte of the data to the last. */
function checkOffsets(entries: readonly Entry[], size: number): void {
  const sorted = [...entries].sort((a, b) => a.from - b.from || a.to - b.to);
  let end = 0;
  for (const { name, from, to } of sorted) {
    if (from !== end) {
      const what = from < end ? "overlap the tensor before it" : "leave a gap before it";
      throw new ArgumentRangeError(
        `The data of ${name} must not ${what}: it begins at ${from}, that before ends at ${end}`,
      );
    }
    end = to;
  }
  if (end === size) return;
  throw new ArgumentRangeError(
    `A safetensors file must have ${end} bytes of data, as its header says: it has ${size}`,
  );
}

/** Refuses a name that the format keeps for itself, or that UTF-8 has no bytes for. */
function checkName(name: string): void {
  const right = name !== METADATA && isUnicode(name);
  checkType(right, "A tensor's name", `be Unicode, and not ${METADATA}`, name);
}

function checkWords(name: string, value: unknown): void {
  checkOptions(name, value, isObject(value) ? Object.keys(value) : []);
  for (const [key, word] of Object.entries(value)) {
    const right = typeof word === "string" && isUnicode(key) && isUnicode(word);
    checkType(right, `${name}.${key}`, "be a string of Unicode", word);
  }
}

/** Whether a string has no half of a surrogate pair. */
function isUnicode(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
