/**
 * IDX files made for tests.
 *
 * @module
 */

/**
 * An IDX file.
 *
 * @param shape The size of each dimension.
 * @param data The values, as the file has them.
 * @param type The code of their type. Default: bytes.
 */
export function idx(
  shape: readonly number[],
  data: Uint8Array,
  type = 0x08,
): Uint8Array<ArrayBuffer> {
  const start = 4 + 4 * shape.length;
  const bytes = new Uint8Array(start + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type << 8 | shape.length);
  for (const [i, size] of shape.entries()) view.setUint32(4 + 4 * i, size);
  bytes.set(data, start);
  return bytes;
}
