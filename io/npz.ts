/**
 * numpy's files, .npy of one array and .npz of several. A separate entry point, as it needs a
 * package: `@cnn-layers/cnn-layers/npz`.
 *
 * @example Weights for numpy
 * ```ts
 * import { affine, Net, relu } from "@cnn-layers/cnn-layers";
 * import { decodeNpz, encodeNpz } from "@cnn-layers/cnn-layers/npz";
 *
 * const net = new Net({ inputDim: 4, layers: [affine(8), relu(), affine(3)] });
 * const bytes = encodeNpz(net.state()); // numpy.load("net.npz")["W1"] reads a file of these
 * net.loadState(decodeNpz(bytes));
 * ```
 *
 * @module
 */

import { checkTensor, checkType, isBytes, isObject } from "../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../kernels/errors.ts";
import type { Tensor } from "../kernels/tensor.ts";
import { checkBoolean, option, readOptions } from "../nn/checks.ts";
import { encodeNpy, readNpy } from "./npy.ts";
import { readZip, writeZip } from "./zip.ts";

export type { FloatArray, Tensor } from "../kernels/tensor.ts";
export { decodeNpy, encodeNpy } from "./npy.ts";

/** How {@linkcode encodeNpz} writes. */
export interface NpzOptions {
  /** Whether the file is compressed, as `numpy.savez_compressed` does. Default: false, as `numpy.savez`. */
  readonly compress?: boolean;
}

/** What the files of an archive are called after the names of their arrays. */
const SUFFIX = ".npy";

/**
 * Tensors as a .npz file: what `numpy.savez(file, **record)` writes.
 *
 * @example
 * ```ts
 * import { full } from "@cnn-layers/cnn-layers";
 * import { decodeNpz, encodeNpz } from "@cnn-layers/cnn-layers/npz";
 *
 * const bytes = encodeNpz({ W: full([20, 30], 0.5), b: full([30], 0) }, { compress: true });
 * console.log(Object.keys(decodeNpz(bytes))); // [ "W", "b" ]
 * ```
 *
 * @param record The tensors, by name.
 * @param options Whether they are compressed.
 * @returns The bytes of the file: the same for the same tensors.
 * @throws {TypeError} If a value is not a tensor, or an option unknown or of a wrong type.
 * @throws {RangeError} If a tensor's data does not fit its shape.
 */
export function encodeNpz(
  record: Readonly<Record<string, Tensor>>,
  options: NpzOptions = {},
): Uint8Array<ArrayBuffer> {
  checkType(isObject(record), "record", "be an object of tensors", record);
  const { compress } = readOptions("options", options, { compress: option(checkBoolean, false) });
  const entries = Object.entries(record);
  for (const [name, value] of entries) {
    checkTensor(name, value);
    const fits = new TextEncoder().encode(name + SUFFIX).length < 2 ** 16;
    if (!fits) {
      throw new ArgumentRangeError(
        `A tensor's name must take less than 64 KB: ${name.length} characters`,
      );
    }
  }
  const files = entries.map(([name, value]) => [name + SUFFIX, encodeNpy(value)] as const);
  return writeZip(Object.fromEntries(files), compress);
}

/**
 * The tensors of a .npz file, each read as {@linkcode decodeNpy} reads it.
 *
 * @example
 * ```ts
 * import { linspace } from "@cnn-layers/cnn-layers";
 * import { decodeNpz, encodeNpz } from "@cnn-layers/cnn-layers/npz";
 *
 * const { x } = decodeNpz(encodeNpz({ x: linspace(0, 1, [3]) }));
 * console.log(x.data); // Float64Array [ 0, 0.5, 1 ]
 * ```
 *
 * @param bytes The file.
 * @returns The tensors, by name: `arr_0` and so on where numpy was not given names.
 * @throws {TypeError} If the bytes are not a Uint8Array, not a whole .npz file, or an array's dtype has no
 * exact counterpart.
 * @throws {RangeError} If an array's bytes do not fit its shape, or a whole number is too large to be exact.
 */
export function decodeNpz(bytes: Uint8Array): Record<string, Tensor> {
  checkType(isBytes(bytes), "bytes", "be a Uint8Array", bytes);
  const tensors = new Map<string, Tensor>();
  for (const [file, content] of readZip(bytes)) {
    if (!file.endsWith(SUFFIX)) {
      throw new ArgumentTypeError(
        `bytes must hold .npy files alone: it has ${file}`,
        "INVALID_FORMAT",
      );
    }
    const name = file.slice(0, -SUFFIX.length);
    if (tensors.has(name)) {
      throw new ArgumentTypeError(
        `bytes must hold each array once: it has ${file} twice`,
        "INVALID_FORMAT",
      );
    }
    tensors.set(name, readNpy(name, content));
  }
  return Object.fromEntries(tensors);
}
