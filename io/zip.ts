/**
 * Zip archives: every entry checked against its checksum.
 *
 * Source: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.3.
 *
 * @module
 */

import { inflateSync, zipSync } from "fflate";
import { ArgumentTypeError } from "../kernels/errors.ts";
import { crc32 } from "../nn/training/crc32.ts";

/** The day of every entry, so that the same contents are the same bytes. It is numpy's. */
const DAY = new Date(1980, 0, 1);

/** The parts of an archive by their signatures, "PK" first. */
const LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50;
const END64 = 0x06064b50, LOCATOR64 = 0x07064b50;

/** What stands for a number that is in the extra field of zip64. */
const IN_EXTRA = 0xffffffff;

/** The longest comment after the end of an archive, and the end itself. */
const MAX_COMMENT = 65535, END_LENGTH = 22;

/** The most bytes that a byte of deflate can become. */
const MAX_RATIO = 1032;

/**
 * An archive of files.
 *
 * @param files Their contents, by name.
 * @param compress Whether they are compressed.
 * @returns The bytes.
 */
export function writeZip(
  files: Readonly<Record<string, Uint8Array>>,
  compress: boolean,
): Uint8Array<ArrayBuffer> {
  return zipSync({ ...files }, { level: compress ? 6 : 0, mtime: DAY });
}

/** An entry of the central directory. */
interface Entry {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressed: number;
  readonly size: number;
  readonly offset: number;
}

/**
 * The files of an archive.
 *
 * @param bytes The archive.
 * @returns Their names and contents, in the archive's order; names may be there twice.
 * @throws {TypeError} If it is not a zip archive, is encrypted or compressed in another way than by
 * deflate, or a file's contents do not have its checksum.
 */
export function readZip(bytes: Uint8Array): readonly (readonly [string, Uint8Array])[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return readDirectory(view, bytes).map((entry) => [entry.name, contents(view, bytes, entry)]);
  } catch (cause) {
    // A DataView throws where an offset lies outside of the bytes.
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `bytes must be a whole zip archive: ${reason}`;
    throw new ArgumentTypeError(message, "INVALID_FORMAT", { cause });
  }
}

function readDirectory(view: DataView, bytes: Uint8Array): readonly Entry[] {
  const end = findEnd(view);
  let count = view.getUint16(end + 10, true), at = view.getUint32(end + 16, true), behind = end;
  if (count === 0xffff || at === IN_EXTRA) {
    expect(view, end - 20, LOCATOR64);
    const end64 = number64(view, end - 12);
    expect(view, end64, END64);
    count = number64(view, end64 + 32);
    at = number64(view, end64 + 48);
    behind = end64;
  }
  const entries: Entry[] = [];
  for (let i = 0; i < count; i++) {
    expect(view, at, CENTRAL);
    const nameLength = view.getUint16(at + 28, true), extraLength = view.getUint16(at + 30, true);
    const commentLength = view.getUint16(at + 32, true);
    const extra = at + 46 + nameLength, next = extra + extraLength + commentLength;
    if (next > behind) throw new RangeError("its directory is cut off");
    const [size, compressed, offset] = sizes(view, at, extra, extraLength);
    entries.push({
      name: new TextDecoder().decode(bytes.subarray(at + 46, extra)),
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      compressed,
      size,
      offset,
    });
    at = next;
  }
  if (at !== behind) throw new TypeError("its directory has more files than it counts");
  return entries;
}

/** Where the end of the central directory is: after it there is a comment alone. */
function findEnd(view: DataView): number {
  const last = view.byteLength - END_LENGTH;
  for (let at = last; at >= Math.max(0, last - MAX_COMMENT); at--) {
    const fits = view.getUint32(at, true) === END && view.getUint16(at + 20, true) === last - at;
    if (fits) return at;
  }
  throw new TypeError("it has no end of a directory");
}

/** Size, compressed size and offset of an entry, each in its extra field if it has no room. */
function sizes(
  view: DataView,
  entry: number,
  extra: number,
  length: number,
): readonly [size: number, compressed: number, offset: number] {
  const read = [24, 20, 42].map((at) => view.getUint32(entry + at, true));
  let at = extra;
  while (at + 4 <= extra + length) {
    const field = view.getUint16(at, true), fieldLength = view.getUint16(at + 2, true);
    if (field === 1) {
      let part = at + 4;
      for (const [i, value] of read.entries()) {
        if (value !== IN_EXTRA) continue;
        read[i] = number64(view, part);
        part += 8;
      }
    }
    at += 4 + fieldLength;
  }
  return [read[0], read[1], read[2]];
}

function contents(view: DataView, bytes: Uint8Array, entry: Entry): Uint8Array {
  const { name, flags, method, crc, compressed, size, offset } = entry;
  expect(view, offset, LOCAL);
  const start = offset + 30 + view.getUint16(offset + 26, true) +
    view.getUint16(offset + 28, true);
  const stored = bytes.subarray(start, start + compressed);
  if (stored.length !== compressed) throw new RangeError(`${name} is cut off`);
  if (flags & 1) throw new TypeError(`${name} is encrypted`);
  if (method !== 0 && method !== 8) {
    throw new TypeError(`${name} is compressed by method ${method}`);
  }
  // Checked before so much is allocated.
  const right = method === 0 ? size === compressed : size <= compressed * MAX_RATIO;
  if (!right) throw new RangeError(`${name} cannot have ${size} bytes of ${compressed}`);
  const file = method === 0 ? stored : inflateSync(stored, { out: new Uint8Array(size) });
  if (file.length !== size || crc32(file) !== crc) throw new TypeError(`${name} is damaged`);
  return file;
}

function expect(view: DataView, at: number, signature: number): void {
  if (view.getUint32(at, true) !== signature) {
    throw new TypeError("its parts do not fit each other");
  }
}

function number64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}
