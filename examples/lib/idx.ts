/**
 * IDX files, the format of MNIST: two zero bytes, the number type, the number of dimensions, the sizes as
 * big-endian words, then the numbers. Source: http://yann.lecun.com/exdb/mnist/.
 *
 * @module
 */

import { InputError } from "../../tools/options.ts";

/** Bytes with a shape. */
export interface Idx {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const UNSIGNED_BYTE = 8;

/**
 * Reads an IDX file of bytes, packed with gzip or not.
 *
 * @param path Its path; if there is no such file, the path with ".gz" is tried.
 * @param rank The number of dimensions it must have.
 * @returns What it holds.
 * @throws {InputError} If it is missing, truncated, too long or something else.
 */
export async function readIdx(path: string, rank: number): Promise<Idx> {
  const bytes = await readMaybeZipped(path);
  const start = 4 + 4 * rank;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < start) {
    throw new InputError(`${path} must have a header of ${start} bytes: it has ${bytes.length}`);
  }
  const magic = view.getUint32(0), expected = (UNSIGNED_BYTE << 8) | rank;
  if (magic !== expected) {
    throw new InputError(
      `${path} must be an IDX file of bytes with ${rank} dimensions, which starts with ` +
        `${hex(expected)}: it starts with ${hex(magic)}`,
    );
  }
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const size = start + shape.reduce((product, length) => product * length, 1);
  if (bytes.length !== size) {
    throw new InputError(
      `${path} must have ${size} bytes for its shape [${shape}]: it has ${bytes.length}`,
    );
  }
  return { shape, data: bytes.subarray(start) };
}

async function readMaybeZipped(path: string): Promise<Uint8Array> {
  const bytes = await read(path) ?? await read(`${path}.gz`);
  if (bytes === undefined) throw new InputError(`${path} is missing, and ${path}.gz too`);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const unzipped = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  try {
    return await new Response(unzipped).bytes();
  } catch {
    throw new InputError(`${path} must be a whole gzip file: it is truncated or damaged`);
  }
}

async function read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw new InputError(`${path} cannot be read: ${(error as Error).message}`);
  }
}

function hex(word: number): string {
  return `0x${word.toString(16).padStart(8, "0")}`;
}
