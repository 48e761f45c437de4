/**
 * numpy's format of one array, .npy.
 *
 * Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
 *
 * @module
 */

import { checkTensor, checkType, isBytes } from "../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../kernels/errors.ts";
import { dtypeOf, type FloatArray, show, type Tensor } from "../kernels/tensor.ts";
import { zerosLike } from "../nn/tensor.ts";
import { type ElementName, ELEMENTS, exactSize, readElements } from "./elements.ts";

/** "\x93NUMPY": how every file begins. */
const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);

/** The data types that are read, by numpy's names without the order of bytes. */
const TYPES: Readonly<Record<string, ElementName>> = {
  f8: "F64",
  f4: "F32",
  f2: "F16",
  i8: "I64",
  u8: "U64",
  i4: "I32",
  u4: "U32",
  i2: "I16",
  u2: "U16",
  i1: "I8",
  u1: "U8",
  b1: "BOOL",
};

/**
 * A tensor as a .npy file of version 1.0: what `numpy.save` writes.
 *
 * @example
 * ```ts
 * import { full } from "@cnn-layers/cnn-layers";
 * import { decodeNpy, encodeNpy } from "@cnn-layers/cnn-layers/npz";
 *
 * const bytes = encodeNpy(full([2, 3], 0.5, "float32")); // numpy.load reads a file of these
 * console.log(decodeNpy(bytes).shape); // [2, 3]
 * ```
 *
 * @param tensor The tensor.
 * @returns The bytes of the file.
 * @throws {TypeError} If it is not a tensor.
 * @throws {RangeError} If its data does not fit its shape.
 */
export function encodeNpy(tensor: Tensor): Uint8Array<ArrayBuffer> {
  checkTensor("tensor", tensor);
  const { data, shape } = tensor;
  const descr = dtypeOf(data) === "float64" ? "<f8" : "<f4";
  // A tuple of one has a comma after it.
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${sizes}), }`;
  // The values start at a multiple of 64 bytes, a line's end before them.
  const start = Math.ceil((MAGIC.length + 4 + dict.length + 1) / 64) * 64;
  const header = dict.padEnd(start - MAGIC.length - 5) + "\n";
  if (header.length > 0xffff) {
    throw new ArgumentRangeError(`tensor must have fewer dimensions: it has ${shape.length}`);
  }
  const bytes = new Uint8Array(start + data.byteLength);
  bytes.set([...MAGIC, 1, 0, header.length & 255, header.length >> 8]);
  bytes.set(new TextEncoder().encode(header), MAGIC.length + 4);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start);
  return bytes;
}

/**
 * The tensor of a .npy file, of version 1.0, 2.0 or 3.0, in either order of bytes and of dimensions.
 * float64 stays so; float32 and float16 become float32, exactly. Whole numbers and booleans become the
 * smaller of float32 and float64 that holds all of their type.
 *
 * @example
 * ```ts
 * import { linspace } from "@cnn-layers/cnn-layers";
 * import { decodeNpy, encodeNpy } from "@cnn-layers/cnn-layers/npz";
 *
 * console.log(decodeNpy(encodeNpy(linspace(0, 1, [3]))).data); // Float64Array [ 0, 0.5, 1 ]
 * ```
 *
 * @param bytes The file.
 * @returns The tensor, a copy in row-major order.
 * @throws {TypeError} If the bytes are not a Uint8Array, not a .npy file, or its dtype has no exact
 * counterpart: complex numbers, words, records; pickled Python objects are never read.
 * @throws {RangeError} If bytes are missing or left over, or a whole number is too large to be exact.
 */
export function decodeNpy(bytes: Uint8Array): Tensor {
  checkType(isBytes(bytes), "bytes", "be a Uint8Array", bytes);
  return readNpy("bytes", bytes);
}

/** Reads a .npy file; messages call it by a name. */
export function readNpy(name: string, bytes: Uint8Array): Tensor {
  const { text, start } = headerOf(name, bytes);
  const { descr, fortran, shape } = parseHeader(name, text);
  const order = descr[0], type = TYPES[descr.slice(1)];
  const hasOrder = order === "<" || order === ">" || order === "|" && descr.endsWith("1");
  if (!hasOrder || type === undefined) {
    const what = descr.endsWith("O") ? "it is of pickled Python objects" : `it is ${descr}`;
    throw new ArgumentTypeError(
      `The dtype of ${name} must be one of ${Object.keys(TYPES)}: ${what}`,
      "INVALID_DTYPE",
    );
  }
  const count = exactSize(shape), size = (count ?? NaN) * ELEMENTS[type].bytes;
  if (size !== bytes.length - start) {
    throw new ArgumentRangeError(
      `The data of ${name} must have the bytes of its shape ${show(shape)} of ${descr}: ` +
        `it has ${bytes.length - start}`,
    );
  }
  const data = readElements(name, type, bytes.subarray(start), order !== ">");
  return fortran ? rowMajor({ data, shape }) : { data, shape };
}

/** The text of the header, and where the values start. */
function headerOf(name: string, bytes: Uint8Array): { text: string; start: number } {
  const isNpy = bytes.length >= 10 && MAGIC.every((byte, i) => bytes[i] === byte);
  if (!isNpy) {
    throw new ArgumentTypeError(
      `${name} must be a .npy file: its first bytes are of none`,
      "INVALID_FORMAT",
    );
  }
  const major = bytes[6], minor = bytes[7];
  if (major < 1 || major > 3 || minor !== 0) {
    throw new ArgumentTypeError(
      `${name} must be a .npy file of version 1.0 to 3.0: it is ${major}.${minor}`,
      "INVALID_FORMAT",
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const from = major === 1 ? 10 : 12;
  const length = major === 1
    ? view.getUint16(8, true)
    : bytes.length < from
    ? NaN
    : view.getUint32(8, true);
  const start = from + length;
  if (!(start <= bytes.length)) {
    throw new ArgumentRangeError(
      `${name} must hold its whole header: it has ${bytes.length} bytes`,
    );
  }
  const encoding = major === 3 ? "utf-8" : "latin1";
  return { text: new TextDecoder(encoding).decode(bytes.subarray(from, start)), start };
}

/** What the header says. */
interface Header {
  readonly descr: string;
  readonly fortran: boolean;
  readonly shape: readonly number[];
}

/** A key of the header with its value: a string, True or False, a tuple of sizes, or a list. */
const ITEM =
  /\s*(['"])(\w+)\1\s*:\s*(?:(['"])([^'"\\]*)\3|(True|False)|\(([\dL,\s]*)\)|(\[.*\]))\s*(?:,|(?=\}))/y;

/** Reads the header, a literal of a Python dict with three keys. */
function parseHeader(name: string, text: string): Header {
  const items: Record<string, string | boolean | readonly number[]> = {};
  const open = /^\s*\{/.exec(text);
  let at = open?.[0].length ?? text.length;
  for (;;) {
    ITEM.lastIndex = at;
    const match = ITEM.exec(text);
    if (match === null) break;
    const [, , key, , word, flag, tuple, list] = match;
    if (Object.hasOwn(items, key)) {
      throw new ArgumentTypeError(`The header of ${name} has ${key} twice`, "INVALID_FORMAT");
    }
    items[key] = word ?? (flag === undefined ? list ?? sizesOf(tuple) : flag === "True");
    at = ITEM.lastIndex;
  }
  const { descr, fortran_order: fortran, shape, ...rest } = items;
  const whole = /^\s*\}\s*$/.test(text.slice(at)) && Object.keys(rest).length === 0;
  const right = whole && typeof descr === "string" && typeof fortran === "boolean" &&
    Array.isArray(shape) && shape.every(Number.isSafeInteger);
  const what = "be a dict of descr, fortran_order and shape";
  checkType(right, `The header of ${name}`, what, text.slice(0, 200).trim(), "INVALID_FORMAT");
  return { descr, fortran, shape };
}

/** The sizes of a tuple; NaN for what is not one. Python 2 wrote an L after them. */
function sizesOf(tuple: string): readonly number[] {
  if (tuple.trim() === "") return [];
  return tuple.replace(/,\s*$/, "").split(",").map((size) =>
    /^\s*\d+L?\s*$/.test(size) ? parseInt(size) : NaN
  );
}

/** Values whose first dimension varies fastest, as ours are: the last does. */
function rowMajor<A extends FloatArray>({ data, shape }: Tensor<A>): Tensor<A> {
  const out = zerosLike({ data, shape }), rank = shape.length;
  const steps = shape.map((_, i) => shape.slice(0, i).reduce((product, size) => product * size, 1));
  const place = new Array(rank).fill(0);
  for (let i = 0, from = 0; i < data.length; i++) {
    out.data[i] = data[from];
    for (let axis = rank - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++place[axis] < shape[axis]) break;
      from -= steps[axis] * shape[axis];
      place[axis] = 0;
    }
  }
  return out;
}
