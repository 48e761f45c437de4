/**
 * Files that a command writes: tried before the work begins, and whole at any time.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { InputError } from "./options.ts";

/**
 * Does what the system may refuse: that is told in one line.
 *
 * @param what What cannot be done then: "runs/ cannot be written".
 * @param work What is done.
 * @returns What the work returned.
 * @throws {InputError} If the system refuses.
 */
export async function orInputError<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const reason = systemReason(error);
    throw reason === undefined ? error : new InputError(`${what}: ${reason}`);
  }
}

/** Why the system refused something, in one line; undefined if an error is not such a refusal. */
export function systemReason(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  // Wrong arguments have codes too.
  if (error instanceof TypeError || error instanceof RangeError) return undefined;
  const { code } = error as { code?: unknown };
  // Some of Deno's errors have a code, others only the system's number in their message.
  const isSystems = typeof code === "string" || error instanceof Deno.errors.NotCapable ||
    /\(os error \d+\)/.test(error.message);
  return isSystems ? error.message.split("\n")[0] : undefined;
}

/** What is at a path; undefined if nothing does. */
export async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    // A file in place of a folder on the way has nothing below it either.
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}

/**
 * Makes a folder if it is missing, and tries to write into it.
 *
 * @param folder The folder.
 * @param names Files that are to be written there.
 * @throws {InputError} If that will not work.
 */
export async function tryFolder(folder: string, names: readonly string[] = []): Promise<void> {
  await orInputError(`${folder} cannot be written`, async () => {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.remove(await Deno.makeTempFile({ dir: folder }));
  });
  for (const name of names) await checkIsFile(join(folder, name));
}

/** Checks that a path is that of a file, or of nothing yet. */
async function checkIsFile(path: string): Promise<void> {
  const found = await orInputError(`${path} cannot be written`, () => statOf(path));
  if (found === undefined || found.isFile) return;
  throw new InputError(`${path} must be a file: it is ${found.isDirectory ? "a folder" : "none"}`);
}

/**
 * Replaces a file: the new one is written beside it and then takes its place, so that one of the two is
 * whole at any time. If that fails, the old one stays.
 *
 * @param path The file; it may be missing.
 * @param bytes What it shall hold.
 */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const part = `${path}.part`;
  try {
    await writeAndSync(part, bytes);
    await Deno.rename(part, path);
  } catch (error) {
    await Deno.remove(part).catch(() => {});
    throw error;
  }
}

async function writeAndSync(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  await writeAll(file, bytes);
  // A file that takes another's place must not be empty after a power failure.
  await file.sync();
}

/** Writes all of the bytes, which may take the system several turns. */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let i = 0; i < bytes.length;) i += await file.write(bytes.subarray(i));
}

/** A file that only this process writes. */
export interface OwnFile extends AsyncDisposable {
  /** Its path; where the path that was given is a link, that of what it links to. */
  readonly path: string;
}

/**
 * Takes a file for this process alone, as long as it lives or until the file is let go. The system
 * drops the lock of a process that ends, however it ends, so what a dead one left is taken over.
 *
 * @param given The file; it may be missing, but not its folder.
 * @returns The file.
 * @throws {InputError} If it cannot be written, or another process has it.
 */
export async function ownFile(given: string): Promise<OwnFile> {
  await checkIsFile(given);
  return await orInputError(`${given} cannot be written`, async () => {
    const path = await resolved(given);
    await tryExisting(path);
    const lockPath = `${path}.lock`, lock = await takeLock(lockPath);
    if (lock === undefined) {
      const owner = (await Deno.readTextFile(lockPath).catch(() => "")).trim();
      throw new InputError(`${given} is in use by another process${owner && `, ${owner}`}`);
    }
    return { path, [Symbol.asyncDispose]: () => dropLock(lockPath, lock) };
  });
}

/** Locks a file, which says whose it is; undefined if another process has locked it. */
async function takeLock(path: string): Promise<Deno.FsFile | undefined> {
  for (;;) {
    const lock = await Deno.open(path, { read: true, write: true, create: true });
    if (!await lock.tryLock(true)) {
      lock.close();
      return undefined;
    }
    // Its last owner may have removed the file after it was opened here.
    if ((await statOf(path))?.ino !== (await lock.stat()).ino) {
      lock.close();
      continue;
    }
    try {
      await lock.truncate();
      await writeAll(lock, new TextEncoder().encode(`number ${Deno.pid}\n`));
      return lock;
    } catch (error) {
      await dropLock(path, lock);
      throw error;
    }
  }
}

async function dropLock(path: string, lock: Deno.FsFile): Promise<void> {
  await Deno.remove(path).catch(() => {});
  lock.close();
}

/** Opens a file for writing, and changes nothing. */
async function tryExisting(path: string): Promise<void> {
  if (await statOf(path) !== undefined) (await Deno.open(path, { write: true })).close();
}

/** A path without links; its last part may be missing. */
async function resolved(path: string): Promise<string> {
  if (await statOf(path) !== undefined) return await Deno.realPath(path);
  return join(await Deno.realPath(dirname(path)), basename(path));
}
