/**
 * Model files: a safetensors file with a net's tensors, and in its metadata all else that it takes to use
 * them: the net's description, the names of the classes, and how images are normalized.
 *
 * @module
 */

import { decodeSafetensors, encodeSafetensors } from "../../io/safetensors.ts";
import type { ChannelStatistics, DType, LayeredNet } from "../../mod.ts";
import { checkType, isObject } from "../../kernels/check.ts";
import { orInputError, replaceFile } from "../files.ts";
import { InputError, orRefused } from "../options.ts";
import { reviveNet } from "./nets.ts";

/** A net with what it takes to use it. */
export interface TrainedNet {
  readonly net: LayeredNet<DType>;
  /** The names of the classes, in the order of the scores. */
  readonly classes: readonly string[];
  /** What the pixels, from 0 to 255, are normalized by. */
  readonly statistics: ChannelStatistics;
}

const FORMAT = "cnn-layers model 1";

/** A model as the bytes of a file. */
export function encodeModel({ net, classes, statistics }: TrainedNet): Uint8Array {
  return encodeSafetensors(net.state(), {
    format: FORMAT,
    net: JSON.stringify(net),
    classes: JSON.stringify(classes),
    statistics: JSON.stringify(statistics),
  });
}

/** The model that {@linkcode encodeModel} was given. */
export function decodeModel(bytes: Uint8Array): TrainedNet {
  const { tensors, metadata } = decodeSafetensors(bytes);
  checkType(metadata.format === FORMAT, "its format", `be "${FORMAT}"`, metadata.format);
  const net = reviveNet(JSON.parse(metadata.net));
  net.loadState(tensors);
  const classes: unknown = JSON.parse(metadata.classes);
  checkType(isNames(classes), "its classes", "be names", classes);
  const statistics: unknown = JSON.parse(metadata.statistics);
  checkType(isStatistics(statistics), "its statistics", "be means and deviations", statistics);
  return { net, classes, statistics };
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}

function isStatistics(value: unknown): value is ChannelStatistics {
  return isObject(value) && "mean" in value && "deviation" in value &&
    [value.mean, value.deviation].every((list) =>
      Array.isArray(list) && list.every((number) => typeof number === "number")
    );
}

/**
 * Reads a model file.
 *
 * @param path The file.
 * @returns The model.
 * @throws {InputError} If it is missing, or something else.
 */
export async function readModel(path: string): Promise<TrainedNet> {
  const bytes = await orInputError(`${path} cannot be read`, () => Deno.readFile(path));
  return orRefused(() => decodeModel(bytes), `${path} must be a model of deno task cnn: `);
}

/** The one model file that a command is given. */
export async function readGivenModel(operands: readonly string[]): Promise<TrainedNet> {
  if (operands.length !== 1) {
    throw new InputError(`give one model file: received ${operands.length}`);
  }
  return await readModel(operands[0]);
}

/** Writes a model file, so that the old one or the new one is whole at any time. */
export async function writeModel(path: string, model: TrainedNet): Promise<void> {
  await orInputError(`${path} cannot be written`, () => replaceFile(path, encodeModel(model)));
}
