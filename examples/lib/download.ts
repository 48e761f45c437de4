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
import { orInputError, ownFile, statOf, writeAll } from "../../tools/files.ts";
import { InputError } from "../../tools/options.ts";
import { progressBar, whileBarRuns } from "../../tools/progress.ts";

/** An archive on the web. */
export interface Archive {
  readonly url: string;
  /** Its size. */
  readonly bytes: number;
  /** Its checksum as published, in hexadecimal digits. */
  readonly checksum: { readonly of: "MD5" | "SHA-1"; readonly digits: string };
}

/** What is thrown if no server answers. */
export class UnreachableError extends InputError {}

/** How long a server may be silent. */
const SILENCE_SECONDS = 30;

/**
 * Fetches a packed archive (.tar.gz), checks it and unpacks it into a folder.
 *
 * @param archive Where it is, and its checksum.
 * @param folder Where to; made if it is missing. What is left of a broken download stays here.
 * @param silence Seconds that the server may be silent.
 * @throws {UnreachableError} If no server answers.
 * @throws {InputError} If it cannot be fetched or written, or the checksum differs.
 */
export async function fetchArchive(
  archive: Archive,
  folder: string,
  silence = SILENCE_SECONDS,
): Promise<void> {
  const name = new URL(archive.url).pathname.split("/").at(-1)!;
  const path = `${folder}/${name}`;
  await orInputError(`${folder} cannot be written`, async () => {
    await Deno.mkdir(folder, { recursive: true });
    await using part = await ownFile(`${path}.part`);
    if (await sizeOf(path) === 0) {
      await download(archive, part.path, silence);
      await Deno.rename(part.path, path);
    }
    const { of, digits } = archive.checksum, found = await digitsOf(path, of);
    if (found !== digits) {
      await Deno.remove(path);
      throw new InputError(`${name} must have the ${of} ${digits}: received one with ${found}`);
    }
    console.error(`${name}: ${of} ${found}, as published`);
    await unpack(path, folder);
  });
}

/** Unpacks beside the folder's files: whatever stands among them is whole. */
async function unpack(archive: string, folder: string): Promise<void> {
  const beside = `${archive}.unpacked`;
  await removeIfThere(beside);
  await Deno.mkdir(beside);
  // Left to itself it asks for the number of cores, which needs a permission.
  const files = unpackTar(beside, { concurrency: 4 });
  await pipeline(createReadStream(archive), createGunzip(), files);
  await moveInto(beside, folder);
  await removeIfThere(beside);
}

/** Moves what is in a folder into another, which may have some of it already. */
async function moveInto(from: string, to: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const [source, target] = [`${from}/${name}`, `${to}/${name}`];
    if (isDirectory && await statOf(target) !== undefined) await moveInto(source, target);
    else await Deno.rename(source, target);
  }
}

/** Fetches a file, from where the last attempt ended. */
async function download(archive: Archive, path: string, silence: number): Promise<void> {
  const { url, bytes } = archive;
  let size = await sizeOf(path);
  // What is longer than the file is not the beginning of it.
  if (size > bytes) size = 0;
  while (size < bytes) {
    const reached = await downloadRest(archive, path, size, silence);
    // Tried again as long as each attempt gets somewhere.
    if (reached <= size) {
      throw new InputError(
        `${url} broke off at byte ${reached}: the same command continues from there`,
      );
    }
    size = reached;
  }
}

/** One attempt; returns the size that the file has then. */
async function downloadRest(
  archive: Archive,
  path: string,
  from: number,
  silence: number,
): Promise<number> {
  const { url, bytes } = archive;
  using patience = new Patience(
    silence,
    `${url} has sent nothing for ${silence} seconds: the same command continues from there`,
  );
  const response = await request(url, from, patience.signal);
  const start = startOf(response);
  if (start !== from && start !== 0) {
    await response.body?.cancel();
    // What came is of no use, but a server may be better at whole files than at parts.
    if (from > 0) return await downloadRest(archive, path, 0, silence);
    throw new InputError(`${url} cannot be fetched: ${response.status} ${response.statusText}`);
  }
  const bar = progressBar("{bar} {percentage}% of {megabytes} MB");
  return await whileBarRuns(bar, async () => {
    bar.start(bytes, start, { megabytes: (bytes / 1e6).toFixed(1) });
    using file = await Deno.open(path, { write: true, create: true, truncate: start === 0 });
    let size = await file.seek(start, Deno.SeekMode.Start);
    try {
      for await (const chunk of response.body!) {
        patience.renew();
        size += chunk.length;
        if (size > bytes) throw new InputError(`${url} must have ${bytes} bytes: it has more`);
        await writeAll(file, chunk);
        bar.update(size);
      }
    } catch (error) {
      // What the network did can be put right by another attempt; what the disk did cannot.
      if (!(error instanceof TypeError)) throw error;
    }
    return size;
  }, false);
}

/** Asks for a file from some byte on. */
async function request(url: string, from: number, signal: AbortSignal): Promise<Response> {
  const headers = new Headers({ "accept-encoding": "identity" });
  if (from > 0) headers.set("range", `bytes=${from}-`);
  try {
    return await fetch(url, { headers, signal });
  } catch (error) {
    if (error instanceof InputError) throw error;
    const reason = (error as Error).message.split("\n")[0];
    throw new UnreachableError(`${url} cannot be reached: ${reason}`);
  }
}

/** The byte that an answer starts with: 0 for a whole file; NaN if it has none of the file. */
function startOf({ status, headers }: Response): number {
  if (status === 200) return 0;
  const range = status === 206 ? headers.get("content-range") : null;
  return Number(range?.match(/^bytes (\d+)-/)?.[1] ?? NaN);
}

/** Aborts its signal when it is not renewed for some seconds. */
class Patience implements Disposable {
  readonly #seconds: number;
  readonly #message: string;
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(seconds: number, message: string) {
    this.#seconds = seconds;
    this.#message = message;
    this.renew();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  renew(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.#controller.abort(new InputError(this.#message)),
      1000 * this.#seconds,
    );
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

async function digitsOf(path: string, algorithm: "MD5" | "SHA-1"): Promise<string> {
  const hash = createHash(algorithm.replace("-", "").toLowerCase());
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

async function sizeOf(path: string): Promise<number> {
  return (await statOf(path))?.size ?? 0;
}

async function removeIfThere(path: string): Promise<void> {
  if (await statOf(path) !== undefined) await Deno.remove(path, { recursive: true });
}
