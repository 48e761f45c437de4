/**
 * Nets by their names, or from their descriptions in JSON files.
 *
 * @module
 */

import { crossEntropyLoss, softmax } from "../../io/onnx/softmax.ts";
import { resnet18 } from "../../io/torchvision.ts";
import {
  affine,
  ConvNet,
  type DType,
  FullyConnectedNet,
  type LayeredNet,
  Net,
  type NetDescription,
  type RandomState,
  ThreeLayerConvNet,
} from "../../mod.ts";
import { show } from "../../kernels/tensor.ts";
import { orInputError } from "../files.ts";
import { InputError, orRefused } from "../options.ts";

/** What a net is made for. */
export interface NetNeeds {
  /** The shape of one image, (C, H, W). */
  readonly inputDim: readonly number[];
  readonly numClasses: number;
  readonly reg: number;
  readonly random: RandomState;
}

type Make = (needs: NetNeeds & { readonly dtype: "float32" }) => LayeredNet<"float32">;

/** The nets that have names. */
export const namedNets: Readonly<Record<string, { readonly about: string; readonly make: Make }>> =
  {
    linear: {
      about: "one fully-connected layer",
      make: ({ numClasses, ...rest }) => new Net({ ...rest, layers: [affine(numClasses)] }),
    },
    mlp: {
      about: "two hidden layers of 100",
      make: (needs) => new FullyConnectedNet([100, 100], { ...needs, weightScale: "he" }),
    },
    "three-layer": {
      about: "the course's convolution of 5 x 5, pool and hidden layer, with batch-norm",
      make: (needs) =>
        new ThreeLayerConvNet({ ...needs, filterSize: 5, batchnorm: true, weightScale: "he" }),
    },
    convnet: {
      about: "five convolutions of 3 x 3, with batch-norm, and a global average",
      make: (needs) => new ConvNet({ ...needs, weightScale: "he" }),
    },
    resnet18: {
      about: "torchvision's, for large images",
      make: ({ numClasses, ...rest }) => new Net({ ...rest, layers: resnet18({ numClasses }) }),
    },
  };

/**
 * Makes a net for a set of images.
 *
 * @param net Its name, or the file with its description, as JSON.stringify gives it of a net.
 * @param needs What it is made for; a description says itself how it is penalized.
 * @returns The net, with random weights.
 * @throws {InputError} If there is no such net, or it is made for other images or classes.
 */
export async function makeNet(net: string, needs: NetNeeds): Promise<LayeredNet<DType>> {
  if (Object.hasOwn(namedNets, net)) {
    return orRefused(
      () => namedNets[net].make({ ...needs, dtype: "float32" }),
      `${net} makes no net: `,
    );
  }
  const made = await readNet(net, needs.random);
  const { inputDim, numClasses } = sizesOf(made);
  checkSame(net, "take images of", show(needs.inputDim), show(inputDim));
  checkSame(net, "give as many scores as there are classes,", needs.numClasses, numClasses);
  return made;
}

/**
 * Reads a net's description.
 *
 * @param path A .json file.
 * @param random Draws the weights.
 * @returns The net.
 * @throws {InputError} If it is missing, or something else.
 */
export async function readNet(path: string, random: RandomState): Promise<LayeredNet<DType>> {
  if (!path.endsWith(".json")) {
    const names = Object.keys(namedNets).join(", ");
    throw new InputError(`--net must be ${names}, or a .json file: received "${path}"`);
  }
  const text = await orInputError(`${path} cannot be read`, () => Deno.readTextFile(path));
  return orRefused(() => reviveNet(JSON.parse(text), random), `${path} makes no net: `);
}

/** The net of a description. One that was imported may end in probabilities. */
export function reviveNet(description: NetDescription, random?: RandomState): Net<DType> {
  const isOwn = description?.loss === "own";
  const loss = isOwn ? crossEntropyLoss : undefined;
  return Net.fromJSON(description, { layers: { softmax }, loss, random });
}

/** Whether a net gives probabilities, not scores. */
export function endsInProbabilities(net: LayeredNet<DType>): boolean {
  return net.layers.at(-1)?.layer.type === "softmax";
}

function checkSame(net: string, what: string, needed: unknown, found: unknown): void {
  if (needed === found) return;
  throw new InputError(`${net} must ${what} ${needed}, as the data has them: it has ${found}`);
}

/** The shape of one example, and how many classes the scores are of. */
export function sizesOf(net: LayeredNet<DType>): {
  readonly inputDim: readonly number[];
  readonly numClasses: number;
} {
  const { inputDim } = net.toJSON();
  const numClasses = net.layers.at(-1)?.plan.outShape[0] ?? inputDim[0];
  return { inputDim, numClasses };
}

/** The channels of a net's images. */
export function channelsOf(net: LayeredNet<DType>): 1 | 3 {
  return sizesOf(net).inputDim[0] === 3 ? 3 : 1;
}

/** Height and width of a net's images. */
export function imageSize(net: LayeredNet<DType>): readonly [height: number, width: number] {
  const { inputDim: [, height, width] } = sizesOf(net);
  if (width !== undefined) return [height, width];
  throw new InputError("--resize is for models that take images, (C, H, W)");
}
