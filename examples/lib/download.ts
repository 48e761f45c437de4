/**
 * Fetches an archive: resumed where it broke off, checked, unpacked.
 *
 * @module
 */

import { unpackTar } from "modern-tar/fs";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { InputError } from "../../tools/options.ts";
import { progressBar } from "./progress.ts";

/** An archive on the web. */
export interface Archive {
  readonly url: string;
  /** Its checksum as published. */
  readonly md5: string;
}

/**
 * Fetches a packed archive (.tar.gz), checks it and unpacks it into a folder.
 *
 * @param archive Where it is, and its checksum.
 * @param folder Where to; made if it is missing. What is left of a broken download stays here.
 * @throws {InputError} If it cannot be fetched or written, or the checksum differs.
 */
export async function fetchArchive(archive: Archive, folder: string): Promise<void> {
  const name = new URL(archive.url).pathname.split("/").at(-1)!;
  const path = `${folder}/${name}`;
  await Deno.mkdir(folder, { recursive: true });
  if (await sizeOf(path) === 0) {
    const part = `${path}.part`;
    await download(archive.url, part);
    await Deno.rename(part, path);
  }
  const found = await md5Of(path);
  if (found !== archive.md5) {
    await Deno.remove(path);
    throw new InputError(`${name} must have the MD5 ${archive.md5}: received one with ${found}`);
  }
  console.error(`${name}: MD5 ${found}, as published`);
  await pipeline(createReadStream(path), createGunzip(), unpackTar(folder));
}

/** Fetches a file, from where the last attempt ended. */
async function download(url: string, path: string): Promise<void> {
  const bar = progressBar("{bar} {percentage}% of {megabytes} MB");
  for (let size = await sizeOf(path);;) {
    const reached = await downloadRest(url, path, size, bar);
    if (reached === undefined) return;
    // Tried again as long as each attempt gets somewhere.
    if (reached <= size) {
      throw new InputError(
        `${url} broke off at byte ${reached}: the same command goes on from there`,
      );
    }
    size = reached;
  }
}

/** One attempt; undefined if the file is complete, else its size. */
async function downloadRest(
  url: string,
  path: string,
  from: number,
  bar: ReturnType<typeof progressBar>,
): Promise<number | undefined> {
  const headers = new Headers({ "accept-encoding": "identity" });
  if (from > 0) headers.set("range", `bytes=${from}-`);
  const response = await fetch(url, { headers }).catch((error: Error) => {
    throw new InputError(`${url} cannot be reached: ${error.message.split("\n")[0]}`);
  });
  const resumed = response.status === 206;
  // What is there is the whole file already, or more than that.
  if (response.status === 416) {
    await response.body?.cancel();
    if (from === totalOf(response)) return undefined;
    await Deno.remove(path);
    return await downloadRest(url, path, 0, bar);
  }
  if (!response.ok || response.body === null) {
    throw new InputError(`${url} cannot be fetched: ${response.status} ${response.statusText}`);
  }
  let size = resumed ? from : 0;
  const total = totalOf(response);
  bar.start(total ?? size, size, { megabytes: ((total ?? size) / 1e6).toFixed(1) });
  using file = await Deno.open(path, { write: true, create: true, truncate: !resumed });
  if (resumed) await file.seek(0, Deno.SeekMode.End);
  try {
    for await (const chunk of response.body) {
      await writeAll(file, chunk);
      size += chunk.length;
      bar.update(size);
    }
  } catch (error) {
    // What the network did can be put right by another attempt; what the disk did cannot.
    if (!(error instanceof TypeError)) throw error;
    return size;
  } finally {
    bar.stop();
  }
  return total === undefined || size === total ? undefined : size;
}

/** The size of the whole file, as the server states it. */
function totalOf(response: Response): number | undefined {
  const range = response.headers.get("content-range")?.match(/\/(\d+)$/)?.[1];
  const total = range ?? (response.status === 200 ? response.headers.get("content-length") : null);
  return total === null || total === undefined ? undefined : Number(total);
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let i = 0; i < bytes.length;) i += await file.write(bytes.subarray(i));
}

async function md5Of(path: string): Promise<string> {
  const hash = createHash("md5");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
