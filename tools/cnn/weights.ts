/**
 * Files of weights, in the formats that others read and write; a file's ending says which it is.
 *
 * @module
 */

import { decodeNpz, encodeNpz } from "../../io/npz.ts";
import { decodeSafetensors, encodeSafetensors, resnet18State } from "../../io/safetensors.ts";
import { decodeCheckpoint, type DType, type LayeredNet, type Tensor } from "../../mod.ts";
import { orInputError } from "../files.ts";
import { asInputError, InputError, orRefused } from "../options.ts";

/** Tensors by their names. */
type Tensors = Readonly<Record<string, Tensor>>;

/** What a net becomes in a file, by the file's ending. */
const writers: Readonly<Record<string, Writer>> = {
  ".safetensors": (net) => encodeSafetensors(net.state(), { format: "pt" }),
  ".npz": (net) => encodeNpz(net.state()),
  // It needs packages, which are loaded for it alone.
  ".onnx": async (net) => (await import("../../io/onnx.ts")).toOnnx(net),
  ".json": (net) => new TextEncoder().encode(JSON.stringify(net, null, 2) + "\n"),
};

type Writer = (net: LayeredNet<DType>) => Uint8Array | Promise<Uint8Array>;

/** The weights of a file, by its ending. */
const readers: Readonly<Record<string, (bytes: Uint8Array) => Tensors>> = {
  ".safetensors": (bytes) => decodeSafetensors(bytes).tensors,
  ".npz": decodeNpz,
  ".checkpoint": checkpointWeights,
};

/** The weights of a training run that were best so far. */
function checkpointWeights(bytes: Uint8Array): Tensors {
  const { params, bestParams, modelState, bestModelState } = decodeCheckpoint(bytes);
  const state = bestParams === null ? modelState : bestModelState;
  return { ...bestParams ?? params, ...state?.statistics };
}

/** What files of an ending are read or written by. */
function byEnding<T>(path: string, known: Readonly<Record<string, T>>): T {
  const ending = Object.keys(known).find((ending) => path.toLowerCase().endsWith(ending));
  if (ending !== undefined) return known[ending];
  throw new InputError(`${path} must end in ${Object.keys(known).join(", ")}`);
}

/** The bytes that a net becomes in a file of some name. */
export async function encodeNet(path: string, net: LayeredNet<DType>): Promise<Uint8Array> {
  try {
    return await byEnding(path, writers)(net);
  } catch (error) {
    throw asInputError(error, `${path} cannot hold the net: `);
  }
}

/** Checks that a net can become a file of some name. */
export function checkWritable(path: string): void {
  byEnding(path, writers);
}

/** Whether a file holds a net with its weights. */
export function isOnnx(path: string): boolean {
  return path.toLowerCase().endsWith(".onnx");
}

/**
 * Reads an ONNX model.
 *
 * @param path The file.
 * @returns The net, with its weights.
 * @throws {InputError} If it is missing, damaged, or has parts that no layer here has.
 */
export async function readOnnx(path: string): Promise<LayeredNet<DType>> {
  const { fromOnnx } = await import("../../io/onnx.ts");
  const bytes = await orInputError(`${path} cannot be read`, () => Deno.readFile(path));
  return orRefused(() => fromOnnx(bytes), `${path} cannot be read: `);
}

/**
 * Reads weights. Those of torchvision's ResNet-18 get our names.
 *
 * @param path The file.
 * @returns The tensors, by name.
 * @throws {InputError} If it is missing, of another format, or damaged.
 */
export async function readWeights(path: string): Promise<Tensors> {
  const read = byEnding(path, readers);
  const bytes = await orInputError(`${path} cannot be read`, () => Deno.readFile(path));
  return orRefused(() => {
    const tensors = read(bytes);
    return "layer4.1.bn2.weight" in tensors ? resnet18State(tensors) : tensors;
  }, `${path} cannot be read: `);
}
