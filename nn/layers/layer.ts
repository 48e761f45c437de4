/**
 * What a layer of a net is: a plain value that plans itself for an input, then runs forward and back.
 * The layers of this library and those of a user are made the same way.
 *
 * Source: the idea of thinc, whose layers return their output and a backward function.
 *
 * @module
 */

import type { Epilogue } from "../../kernels/epilogue.ts";
import type { Explanation } from "../../kernels/select.ts";
import type { DType, FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkWhole } from "../../kernels/check.ts";
import { ArgumentTypeError } from "../../kernels/errors.ts";
import { show } from "../../kernels/tensor.ts";
import type { Mode } from "../checks.ts";
import { copyOf } from "../plain_data.ts";
import type { RandomState } from "../random/random_state.ts";
import type { PassOptions } from "./gradients.ts";

/**
 * A layer, as a description of a net holds it. JSON keeps its type and arguments, and leaves out its
 * function; `Net.fromJSON` calls the function of that type with these arguments again.
 *
 * @example A layer that doubles its input
 * ```ts
 * import { affine, type LayerDefinition, Net, tensor, zeros } from "@cnn-layers/cnn-layers";
 *
 * const times2 = ({ data, shape }: { data: Float32Array | Float64Array; shape: readonly number[] }) =>
 *   tensor(data.map((v) => 2 * v), shape);
 * const double = (): LayerDefinition => ({
 *   type: "double",
 *   plan: (inShape) => ({
 *     outShape: inShape,
 *     forward: (x) => ({ out: times2(x), backward: (dout) => ({ dx: times2(dout) }) }),
 *   }),
 * });
 * const net = new Net({ inputDim: 4, layers: [affine(3), double()] });
 * console.log(net.loss(zeros([2, 4])).shape); // [2, 3]
 * ```
 */
export interface LayerDefinition {
  /** What kind of layer it is: the name of the function that made it. */
  readonly type: string;
  /** What that function was called with: plain data, or layers. Default: none. */
  readonly args?: readonly unknown[];
  /**
   * Plans the layer for an input; nothing is drawn or computed yet.
   *
   * @param inShape The shape of one example: (C, H, W) for images, (D) for vectors.
   * @param planner Plans layers inside this one.
   * @returns Its sizes, and how it runs.
   * @throws {TypeError} If the input has a wrong rank.
   * @throws {RangeError} If its sizes do not fit the layer.
   */
  plan(inShape: readonly number[], planner: Planner): LayerPlan;
}

/** A parameter's shape, and what it starts with. */
export interface ParameterPlan {
  /** Its shape. */
  readonly shape: readonly number[];
  /**
   * One number, or random weights: normal, their deviation the net's weightScale. `fanIn` says of how
   * many values an output is a sum, for the weightScale "he".
   */
  readonly init: number | { readonly fanIn: number };
}

/** A layer with all its sizes. */
export interface LayerPlan {
  /** The shape of one example of the output. */
  readonly outShape: readonly number[];
  /** The learnable parameters, by short names; those that begin with W are penalized by `reg`. */
  readonly params?: Readonly<Record<string, ParameterPlan>>;
  /** What is kept from step to step beside them, by short names: all start with one number. */
  readonly state?: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly init: number }>
  >;
  /** Products of one example's forward pass. Default: 0. */
  readonly multiplyAdds?: number;
  /** Whether it takes batches that go together as one input; others get them one by one. Default: false. */
  readonly joint?: boolean;
  /** Whether it draws random numbers in training. Default: false. */
  readonly draws?: boolean;
  /** Whether it takes examples of any shape with as many values. Default: false. */
  readonly flattens?: boolean;
  /** The layers inside it. */
  readonly parts?: readonly PlannedLayer[];
  /** What `explain()` calls it. Default: the layer's type. */
  readonly name?: string;
  /** Which kernel runs it, if one does. */
  readonly explain?: () => Explanation;
  /**
   * Whether the layer holds no tensor that it was given or gave once it has gone back, nor shows one to anybody
   * else: a net of such layers uses their arrays again. Default: false.
   */
  readonly releases?: boolean;
  /** Whether `out` is an array of its own that `backward` does not read, so that it may be written over. */
  readonly ownsOut?: boolean;
  /** Whether `dx` is an array of its own, or dout's if that may be written over. Default: false. */
  readonly ownsDx?: boolean;
  /** Whether each value of the output is one of the input's, the largest of some: a relu may come later. */
  readonly selects?: boolean;
  /** What the layer does, if a kernel can do it before it stores its sums. */
  readonly epilogue?: Epilogue;
  /** The pass of a layer with an epilogue, whose output a kernel has computed already. */
  readonly passOf?: (out: Tensor) => Pass;
  /** The forward pass with an epilogue, if its kernel can do one. */
  readonly withEpilogue?: (epilogue: Epilogue) => LayerPlan["forward"];
  /** What the layer comes to at inference, if that is a scale and a shift of each channel. */
  readonly scales?: (
    params: Readonly<Record<string, Tensor>>,
    state: Readonly<Record<string, Tensor>>,
  ) => Scales;
  /** The forward pass with such a layer after it, and then an epilogue, if weights can take them up. */
  readonly withScales?: (
    scalesOf: (run: Run) => Scales,
    epilogue: Epilogue,
  ) => LayerPlan["forward"];
  /** The layers that run one after another, those of sequences inside it among them. */
  readonly chain?: readonly PlannedLayer[];
  /**
   * Runs forward.
   *
   * @param x The batch, (N, ...inShape); it must not be written to, unless the run says so.
   * @param params The parameters, by their short names.
   * @param run What it runs with.
   * @returns The output, (N, ...outShape), and the backward function.
   */
  forward(x: Tensor, params: Readonly<Record<string, Tensor>>, run: Run): Pass;
}

/** A channel's values become value * scale + shift. */
export interface Scales {
  /** A scale for each channel. */
  readonly scale: FloatArray;
  /** A shift for each channel. */
  readonly shift: FloatArray;
}

/** What a layer did forward, and how to go back. */
export interface Pass {
  /** The output. */
  readonly out: Tensor;
  /**
   * From the gradient of the output to those of the input and the parameters. It is called once.
   *
   * @param dout The gradient of the output; it must not be written to, unless `ownsDout` says so.
   * @param options `dx: false` says that the gradient of the input is not needed, `params: false` those of
   * the parameters.
   * @param ownsDout Whether dout is not needed elsewhere, so that it may be written over and be dx. Default: false.
   * @returns `dx`, and `grads` with the short names of the parameters, none of which may be missing.
   */
  backward(dout: Tensor, options: PassOptions, ownsDout?: boolean): Gradient;
}

/** What a layer gives going back. */
export interface Gradient {
  /** The gradient of the input; may be left out if it is not needed. */
  readonly dx?: Tensor;
  /** The gradients of the parameters, by their short names. Default: none. */
  readonly grads?: Readonly<Record<string, Tensor>>;
  /** Those of each batch, if several go together and the layer is one that is `joint`. */
  readonly jointGrads?: readonly Readonly<Record<string, Tensor>>[];
}

/** What a layer runs with. */
export interface Run {
  /** Training or use. */
  readonly mode: Mode;
  /** Where random numbers are drawn from, if there is no seed. */
  readonly random: RandomState;
  /** Makes every step draw the same numbers. */
  readonly seed?: number;
  /** The layer's own state, by short names: to be written in training. */
  readonly state: Readonly<Record<string, Tensor>>;
  /** Whether the input is not needed any more, so that it may be written over. */
  readonly ownsInput: boolean;
  /** The names in the net of parameters that need no gradient. */
  readonly frozen: ReadonlySet<string>;
  /** Forward passes that keep packed weights, by these, if nobody writes to the parameters. */
  readonly prepared?: Map<Tensor, (x: Tensor) => Tensor>;
  /** Lets an array be used again that is not needed any more, if the net does that. */
  readonly release?: (array: FloatArray) => void;
  /** Called with the output of each layer, if something watches. */
  readonly watch?: (layer: PlannedLayer, out: Tensor) => void;
  /** The parameters of the whole net, for the layers inside this one. */
  readonly params: Readonly<Record<string, Tensor>>;
  /** The gradients of the whole net, where the layers inside this one put theirs. */
  readonly grads: Record<string, Tensor>;
  /** Batches of one size that make up the input, if they go through the net together. */
  readonly joint?: readonly JointRun[];
  /** Gives all processes what each has; there if batches go together. */
  readonly gather?: (own: Float64Array) => Float64Array;
  /** Called with each of them when it is known, by its name in the net. */
  readonly onGradient?: (name: string, gradient: Tensor) => void;
}

/** What each of some batches that go through a net together has of its own. */
export type JointRun = Pick<Run, "random" | "grads" | "onGradient">;

/** A layer inside a net: planned, and with names for its parameters. */
export interface PlannedLayer {
  /** Where it stands: `layers[3].residual.branch.sequential[0].conv`. */
  readonly path: string;
  /** Its kind, and its number if it has parameters: "conv1", "relu". */
  readonly name: string;
  /** The description. */
  readonly layer: LayerDefinition;
  /** The sizes. */
  readonly plan: LayerPlan;
  /** The names in the net of its own parameters, by their short names: W is W1. */
  readonly names: Readonly<Record<string, string>>;
  /** The names in the net of its own parameters and of those of the layers inside it. */
  readonly params: readonly string[];
  /**
   * Runs forward. Going back, the gradients of the parameters go to the run's.
   *
   * @param x The batch.
   * @param run What the layer around it runs with.
   * @param ownsInput Whether nothing else needs x. Default: false.
   * @returns The output and the backward function, which returns dx only.
   */
  forward(x: Tensor, run: Run, ownsInput?: boolean): Pass;
  /** What the layer comes to at inference, if its plan says so. */
  readonly scalesOf?: (run: Run) => Scales;
  /** The same layer, run in another way. */
  runBy(forward: LayerPlan["forward"]): PlannedLayer;
}

/** Plans layers inside others. */
export interface Planner {
  /** Data type of the net. */
  readonly dtype: DType;
  /** Whether the net will not learn, so that layers may be taken together for good. Default: false. */
  readonly prepares?: boolean;
  /** Where the layer that is planned stands, as messages name it: `layers[3].residual`. */
  readonly path: string;
  /**
   * Plans a layer inside the one that is planned.
   *
   * @param layer The layer.
   * @param step How to get there from the one around it, for messages: ".branch".
   * @param inShape The shape of one example of its input.
   * @returns The layer, ready to run.
   * @throws {TypeError} If it is not a layer, or its input has a wrong rank.
   * @throws {RangeError} If sizes do not fit.
   */
  plan(layer: LayerDefinition, step: string, inShape: readonly number[]): PlannedLayer;
}

/**
 * A layer as its function makes it.
 *
 * @param type The function's name.
 * @param args What it was called with.
 * @param plan How it is planned.
 * @returns The layer.
 * @throws {TypeError} If an argument is not plain data.
 */
export function layerOf(
  type: string,
  args: readonly unknown[],
  plan: LayerDefinition["plan"],
): LayerDefinition {
  return Object.freeze<LayerDefinition>({
    type,
    args: copyOf(args, type),
    plan: (inShape, planner) => ({ releases: true, ...plan(inShape, planner) }),
  });
}

/** The shape (C, H, W) of an input that must be images. */
export function imageShape(
  inShape: readonly number[],
  { path }: Planner,
): readonly [C: number, H: number, W: number] {
  const [C, H, W] = inShape;
  if (inShape.length === 3) return [C, H, W];
  throw new ArgumentTypeError(
    `${path} needs an input of (C, H, W): it gets ${show(inShape)}`,
    "INVALID_RANK",
  );
}

/** Height and width: one number for both, or an array of the two. */
export type Size = number | readonly [height: number, width: number];

/** Reads height and width: whole numbers from 1. */
export function readSize(name: string, value: unknown): readonly [number, number] {
  const sizes = Array.isArray(value) && value.length === 2 ? value : [value, value];
  for (const size of sizes) checkWhole(name, size, 1);
  return [sizes[0], sizes[1]];
}
