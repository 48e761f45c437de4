/**
 * CRC-32, the checksum of zip, gzip and PNG: tells bytes from the same bytes with a few flipped.
 *
 * Source: section 8.1.1.6.2 of ITU-T V.42; https://www.w3.org/TR/png/#D-CRCAppendix.
 *
 * @module
 */

/** The remainders of all bytes; made when they are first needed. */
let table: Uint32Array | undefined;

function remainders(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
    return byte;
  });
}

/**
 * The checksum of bytes.
 *
 * @param bytes The bytes.
 * @param before The checksum of the bytes before them. Default: 0, that of none.
 * @returns A whole number from 0 to 2^32 - 1.
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  const known = table ??= remainders();
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = known[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}
