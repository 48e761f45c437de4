/**
 * Nets of torchvision: their description here, and their state dicts under this library's names.
 *
 * Source: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition" (2015), as
 * torchvision/models/resnet.py has it: its names, its stride in a block's first convolution, and its
 * projections where the shape changes.
 *
 * @module
 */

import { checkTensor, checkType, isObject } from "../kernels/check.ts";
import { ArgumentTypeError } from "../kernels/errors.ts";
import { dtypeOf, type Tensor } from "../kernels/tensor.ts";
import { option, readOptions, whole } from "../nn/checks.ts";
import { affine } from "../nn/layers/affine.ts";
import { batchnorm } from "../nn/layers/batchnorm.ts";
import { conv, type ConvOptions } from "../nn/layers/conv.ts";
import { globalAverage } from "../nn/layers/global_pool.ts";
import type { LayerDefinition } from "../nn/layers/layer.ts";
import { maxPool } from "../nn/layers/max_pool.ts";
import { relu } from "../nn/layers/relu.ts";
import { residual } from "../nn/nets/residual.ts";
import { sequential } from "../nn/nets/sequence.ts";
import { newArray } from "../nn/tensor.ts";

/** Options of {@linkcode resnet18}. */
export interface ResNet18Options {
  /** How many classes. Default: 1000, those of ImageNet. */
  readonly numClasses?: number;
}

/** Filters of the four stages, and the blocks of each. */
const STAGES = [64, 128, 256, 512], BLOCKS = 2;

const unit = (filters: number, options: ConvOptions) =>
  sequential(conv(filters, { ...options, bias: false }), batchnorm());

/** Two 3x3 convolutions, and a projection where the shape changes. */
const block = (filters: number, stride: number) =>
  sequential(
    residual(
      sequential(unit(filters, { stride }), relu(), unit(filters, {})),
      stride === 1 ? undefined : unit(filters, { kernel: 1, stride }),
    ),
    relu(),
  );

/** Calls for each block, in order, with its name, filters and stride. */
function blocks<T>(call: (name: string, filters: number, stride: number) => T): readonly T[] {
  return STAGES.flatMap((filters, i) =>
    Array.from(
      { length: BLOCKS },
      (_, j) => call(`layer${i + 1}.${j}`, filters, i > 0 && j === 0 ? 2 : 1),
    )
  );
}

/**
 * The layers of torchvision's ResNet-18, for images of any size; it was trained on (3, 224, 224).
 *
 * @example With the weights of torchvision, which Python has saved as safetensors
 * ```ts ignore
 * import { Net } from "@cnn-layers/cnn-layers";
 * import { decodeSafetensors, resnet18, resnet18State } from "@cnn-layers/cnn-layers/safetensors";
 *
 * // safetensors.torch.save_file(torchvision.models.resnet18(weights="DEFAULT").state_dict(), "resnet18.safetensors")
 * const { tensors } = decodeSafetensors(await Deno.readFile("resnet18.safetensors"));
 * const net = new Net({ inputDim: [3, 224, 224], layers: resnet18(), dtype: "float32" });
 * net.loadState(resnet18State(tensors));
 * ```
 *
 * @param options How many classes.
 * @returns The layers, from (3, H, W) to the scores.
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If numClasses is not a whole number from 1.
 */
export function resnet18(options: ResNet18Options = {}): readonly LayerDefinition[] {
  const { numClasses } = readOptions("options", options, { numClasses: option(whole(1), 1000) });
  return [
    ...[unit(64, { kernel: 7, stride: 2 }), relu(), maxPool(3, { stride: 2, pad: 1 })],
    ...blocks((_, filters, stride) => block(filters, stride)),
    ...[globalAverage(), affine(numClasses)],
  ];
}

/** The convolutions with their normalizations, by torchvision's names, in the order of the net here. */
function units(): readonly (readonly [conv: string, norm: string])[] {
  return [
    ["conv1", "bn1"],
    ...blocks((name, _, stride) => [
      [`${name}.conv1`, `${name}.bn1`] as const,
      [`${name}.conv2`, `${name}.bn2`] as const,
      ...stride === 1 ? [] : [[`${name}.downsample.0`, `${name}.downsample.1`] as const],
    ]).flat(),
  ];
}

/** Names here, by torchvision's. */
function names(): Readonly<Record<string, string>> {
  const pairs = units().flatMap(([conv, norm], i) => [
    [`${conv}.weight`, `W${i + 1}`],
    [`${norm}.weight`, `gamma${i + 1}`],
    [`${norm}.bias`, `beta${i + 1}`],
    [`${norm}.running_mean`, `runningMean${i + 1}`],
    [`${norm}.running_var`, `runningVar${i + 1}`],
  ]);
  const last = units().length + 1;
  return Object.fromEntries([...pairs, ["fc.weight", `W${last}`], ["fc.bias", `b${last}`]]);
}

/**
 * A state dict of torchvision's ResNet-18 under the names of {@linkcode resnet18}'s net here: `conv1.weight`
 * is `W1`, `bn1.running_var` is `runningVar1`, and so on in the order of the net, a block's projection
 * after its two convolutions; `fc.weight` (classes, 512) is transposed to `W21` (512, classes). The
 * counts of batches, `num_batches_tracked`, have no use here and are left out.
 *
 * @example Which name is which
 * ```ts
 * import { Net } from "@cnn-layers/cnn-layers";
 * import { resnet18, resnet18State } from "@cnn-layers/cnn-layers/safetensors";
 *
 * const net = new Net({ inputDim: [3, 32, 32], layers: resnet18({ numClasses: 10 }), dtype: "float32" });
 * console.log(net.params.W21.shape); // [512, 10]
 * try {
 *   resnet18State({});
 * } catch (error) {
 *   console.log((error as Error).message.slice(0, 50)); // record must have the tensors of ...
 * }
 * ```
 *
 * @param record The state dict: tensors by torchvision's names, as `decodeSafetensors` gives them.
 * @returns The tensors for {@linkcode LayeredNet.loadState}; those that are not transposed share their data.
 * @throws {TypeError} If a name is missing or unknown, or a value is not a tensor; the message names all.
 */
export function resnet18State(
  record: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  checkType(isObject(record), "record", "be an object of tensors", record);
  const ours = names();
  const given = Object.keys(record).filter((name) => !name.endsWith(".num_batches_tracked"));
  const missing = Object.keys(ours).filter((name) => !Object.hasOwn(record, name));
  const extra = given.filter((name) => !Object.hasOwn(ours, name));
  if (missing.length + extra.length > 0) {
    const list = (items: readonly string[]) => items.join(", ") || "none";
    throw new ArgumentTypeError(
      `record must have the tensors of a ResNet-18 of torchvision; missing: ${list(missing)}; ` +
        `extra: ${list(extra)}`,
    );
  }
  return Object.fromEntries(given.map((name) => {
    const value = record[name];
    checkTensor(name, value, name === "fc.weight" ? 2 : undefined);
    return [ours[name], name === "fc.weight" ? transposed(value) : value];
  }));
}

/** A matrix's transpose. */
function transposed({ data, shape: [rows, columns] }: Tensor): Tensor {
  const out = newArray(data.length, dtypeOf(data));
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j];
  }
  return { data: out, shape: [columns, rows] };
}
