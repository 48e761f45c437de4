/**
 * How tensors are laid out in a safetensors file: 8 bytes with the length of the header, the header as
 * JSON, then the values of one tensor after another.
 *
 * Source: https://huggingface.co/docs/safetensors.
 *
 * @module
 */

import { dtypeOf, type Tensor } from "../kernels/tensor.ts";

/** The names that safetensors has for our dtypes. */
export const SAFETENSORS_DTYPES = { float64: "F64", float32: "F32" } as const;

/** The key of the header that is not a tensor's name. */
export const METADATA = "__metadata__";

/**
 * Writes a safetensors file. float64 comes before float32, so that the values of every tensor start at
 * a multiple of their size.
 *
 * @param tensors The tensors, by name; names differ.
 * @param metadata Words beside them, which come first in the header. None if undefined.
 * @returns The bytes.
 */
export function writeSafetensors(
  tensors: Iterable<readonly [string, Tensor]>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const entries = [...tensors];
  const of = (wanted: string) => entries.filter(([, { data }]) => dtypeOf(data) === wanted);
  const ordered = [...of("float64"), ...of("float32")];
  const header: (readonly [string, unknown])[] = metadata === undefined
    ? []
    : [[METADATA, metadata]];
  let size = 0;
  for (const [name, { data, shape }] of ordered) {
    const dtype = SAFETENSORS_DTYPES[dtypeOf(data)];
    header.push([name, { dtype, shape, data_offsets: [size, size += data.byteLength] }]);
  }
  // Key by key, as an object would put keys that are numbers first.
  const pairs = header.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  const text = new TextEncoder().encode(`{${pairs.join()}}`);
  // Spaces after the header let the values start at a multiple of 8 bytes.
  const start = 8 + Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(start + size);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.fill(0x20, 8, start);
  bytes.set(text, 8);
  let offset = start;
  for (const [, { data }] of ordered) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return bytes;
}
