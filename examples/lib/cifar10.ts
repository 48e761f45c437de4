/**
 * Where CIFAR-10 is, on this machine and on the web.
 *
 * @module
 */

import { type Cifar10Data, getCifar10Data } from "../../mod.ts";
import { type Archive, fetchArchive } from "./download.ts";
import { InputError } from "../../tools/options.ts";

/** The binary version, as its author publishes it. */
export const archive: Archive = {
  url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
  md5: "c32a1d4ab5d03f1284b67883e8d87530",
};

/** The folder that the archive holds. */
const INNER = "cifar-10-batches-bin";

/**
 * Reads CIFAR-10, fetching it first if that is wanted and needed.
 *
 * @param folder The folder of the six files, or the one that holds that folder.
 * @param download Whether it may be fetched.
 * @param numTraining Pictures to train on.
 * @returns The data, split as in the course.
 * @throws {InputError} If there is no data, or a file is damaged.
 */
export async function readCifar10(
  folder: string,
  download: boolean,
  numTraining: number,
): Promise<Cifar10Data<Float32Array>> {
  if (await findFiles(folder) === undefined && download) await fetchArchive(archive, folder);
  const directory = await findFiles(folder);
  if (directory === undefined) {
    throw new InputError(
      `${folder} has no data_batch_1.bin: CIFAR-10 comes from ` +
        `https://www.cs.toronto.edu/~kriz/cifar.html,\nfile cifar-10-binary.tar.gz, ` +
        `MD5 ${archive.md5}; --download fetches it`,
    );
  }
  try {
    return await getCifar10Data({ directory, numTraining, dtype: "float32" });
  } catch (error) {
    // Missing and damaged files are the user's to put right.
    const ours = error instanceof RangeError || (error as { code?: string }).code === "ENOENT";
    throw ours ? new InputError((error as Error).message) : error;
  }
}

async function findFiles(folder: string): Promise<string | undefined> {
  for (const directory of [folder, `${folder}/${INNER}`]) {
    try {
      await Deno.stat(`${directory}/data_batch_1.bin`);
      return directory;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
        throw error;
      }
    }
  }
  return undefined;
}
