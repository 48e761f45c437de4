/**
 * Nets made of layers: what all nets of this library share.
 *
 * @module
 */

import type { DType, FloatArray, Tensor } from "../../kernels/tensor.ts";
import type { Explanation } from "../../kernels/select.ts";
import {
  checkNonEmpty,
  checkOptions,
  checkShape,
  checkTensor,
  checkTensorShape,
  checkType,
  checkWithin,
} from "../../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../../kernels/errors.ts";
import { addPenalty } from "../../kernels/maps/penalty.ts";
import { dtypeOf, show, sizeOf } from "../../kernels/tensor.ts";
import {
  checkBoolean,
  checkTensorsLike,
  type Mode,
  option,
  readDType,
  readOptions,
  unchecked,
  whole,
  within,
} from "../checks.ts";
import type { LayerDefinition, LayerPlan, Pass, PlannedLayer, Run } from "../layers/layer.ts";
import { checkTargets, type Loss, softmaxLoss } from "../layers/loss.ts";
import { runMap } from "../layers/run_map.ts";
import type {
  JointBatch,
  JointOptions,
  LossAndGradients,
  LossOptions,
  Model,
  ModelState,
  Targets,
} from "../model.ts";
import { copyOf } from "../plain_data.ts";
import { checkRandom, RandomState } from "../random/random_state.ts";
import { type ArrayOf, full, newArray, zeros } from "../tensor.ts";
import { Workspace } from "../workspace.ts";
import { join, split } from "./joint.ts";
import { isLayer, NetPlanner } from "./planner.ts";
import { planSequence } from "./sequence.ts";
import { checkState, type LoadedState, type LoadStateOptions } from "./state.ts";
import { lineOf, showAs, summaryOf } from "./summary.ts";

/** From the scores of a batch, (N, classes), and its labels or targets to the loss and its gradient. */
// A method's type: a loss that knows labels alone is one too, and refuses what it does not know.
export type LossFunction = { of(x: Tensor, y: Targets): Loss }["of"];

/** A loss, and what it is called where a net is described as data. */
export interface NamedLoss {
  /** Its name. */
  readonly name: string;
  /** The function. */
  readonly of: LossFunction;
}

/** The default loss. */
export const SOFTMAX: NamedLoss = { name: "softmax", of: softmaxLoss };

/** The options of every net. */
export interface NetOptions<D extends DType = DType> {
  /** Strength of the L2 penalty: 0.5 * reg * the sum of the squares of all weights W. Default: 0. */
  readonly reg?: number;
  /**
   * Standard deviation of the weights at the start, or "he" for sqrt(2 / inputs of the layer), which
   * keeps the scale of the activations through any depth of relus (He et al., 2015).
   */
  readonly weightScale?: number | "he";
  /** Data type of parameters, inputs and scores. Default: "float64"; "float32" is faster. */
  readonly dtype?: D;
  /** Draws the weights, W1 first, and dropout's masks. Default: a new RandomState(0). */
  readonly random?: RandomState;
  /** Makes dropout draw the same masks at every step, which a numerical gradient needs. */
  readonly seed?: number;
}

/** A net's description. */
export interface LayeredNetOptions<D extends DType = DType> extends NetOptions<D> {
  /** Shape of one example: (C, H, W) for images, or how many values it has. */
  readonly inputDim: number | readonly number[];
  /** The layers in order; the last gives the scores, one per class. */
  readonly layers: readonly LayerDefinition[];
  /** The loss. Default: the softmax loss. */
  readonly loss?: NamedLoss;
}

/** Which kernel a layer of a net runs, and why. */
export interface LayerExplanation extends Explanation {
  /** The layer: its kind, and the number that its parameters have. */
  readonly layer: string;
}

/** A net as data. */
export interface NetDescription {
  /** Shape of one example. */
  readonly inputDim: readonly number[];
  /** The layers. */
  readonly layers: readonly LayerDescription[];
  /** Strength of the L2 penalty. */
  readonly reg: number;
  /** Standard deviation of the weights at the start, or "he". */
  readonly weightScale: number | "he";
  /** Data type. */
  readonly dtype: DType;
  /** Which loss. */
  readonly loss: string;
}

/** A layer as data: the name of its function, and what that was called with. */
export interface LayerDescription {
  /** The function's name. */
  readonly type: string;
  /** Its arguments: plain data, or layers. */
  readonly args: readonly unknown[];
}

function checkScale(name: string, value: unknown): asserts value is number | "he" {
  if (value !== "he") checkWithin(name, value, 0);
}

/**
 * The options that every net has.
 *
 * @param weightScale The default standard deviation of the weights.
 * @param inputDim The default shape of an example.
 * @returns Their readers.
 */
export function netOptions(weightScale: number | "he", inputDim?: readonly number[]) {
  return {
    inputDim: (name: string, value: unknown = inputDim) => {
      const shape = typeof value === "number" ? [value] : value;
      checkShape(name, shape);
      checkNonEmpty(name, shape, 0);
      return [...shape];
    },
    reg: option(within(0), 0),
    weightScale: option(checkScale, weightScale),
    dtype: readDType,
    random: option(checkRandom),
    seed: option(whole(0)),
  };
}

/** How many classes a net of the course has. Default: 10. */
export const NUM_CLASSES = { numClasses: option(whole(1), 10) };

/** A net that learns no more. */
export interface PreparedNet<A extends FloatArray = FloatArray> {
  /**
   * The scores of a batch.
   *
   * @param x The batch.
   * @returns The scores, (N, classes).
   * @throws {TypeError} If x has a wrong type, dtype or rank.
   * @throws {RangeError} If its examples do not have the net's size.
   */
  predict(x: Tensor<A>): Tensor<A>;
}

/** A net made of layers. {@linkcode Net} and the course's nets are such ones. */
export class LayeredNet<D extends DType = "float64"> implements Model<ArrayOf<D>> {
  /** The learnable parameters by name. Replace or overwrite them to learn. */
  readonly params: Record<string, Tensor<ArrayOf<D>>> = {};
  /** Strength of the L2 penalty on the weights. */
  reg: number;
  /** Shape of one example of the input. */
  readonly inputDim: readonly number[];
  /** The layers, in order, with all their sizes and the names of their parameters. */
  readonly layers: readonly PlannedLayer[];
  readonly #plan: LayerPlan;
  readonly #planner: NetPlanner;
  readonly #weightScale: number | "he";
  readonly #loss: NamedLoss;
  readonly #random: RandomState;
  readonly #seed: number | undefined;
  /** The arrays of training iterations, if no layer holds on to one. */
  readonly #workspace: Workspace | undefined;

  /**
   * Makes a net with random weights, and with biases 0.
   *
   * @param options The description.
   * @throws {TypeError} If a type is wrong, an option unknown, or a layer's input has a wrong rank.
   * @throws {RangeError} If a number is out of range, or sizes do not fit each other.
   */
  constructor(options: LayeredNetOptions<D>) {
    const { inputDim, layers, loss = SOFTMAX, reg, weightScale, dtype, random, seed } = readOptions(
      "options",
      options,
      {
        ...netOptions("he"),
        layers: unchecked<readonly LayerDefinition[]>,
        loss: unchecked<NamedLoss | undefined>,
      },
    );
    checkType(Array.isArray(layers), "layers", "be an array of layers", layers);
    this.reg = reg;
    this.inputDim = inputDim;
    this.#weightScale = weightScale;
    this.#loss = loss;
    this.#random = random ?? new RandomState(0);
    this.#seed = seed;
    this.#planner = new NetPlanner(dtype);
    this.#plan = planSequence(layers, inputDim, this.#planner);
    this.layers = this.#plan.parts!;
    this.#workspace = releasesAll(this.#plan) ? new Workspace() : undefined;
    const { outShape } = this.#plan;
    if (outShape.length !== 1) {
      throw new ArgumentTypeError(
        `layers must end in one score per class, as affine(10) gives: they end in ${
          show(outShape)
        }`,
        "INVALID_RANK",
      );
    }
    for (const [name, { shape, init }] of Object.entries(this.#planner.params)) {
      if (typeof init === "number") this.params[name] = full(shape, init, dtype as D);
      else {
        const scale = weightScale === "he" ? Math.sqrt(2 / init.fanIn) : weightScale;
        this.params[name] = drawWeights(this.#random, shape, scale, dtype as D);
      }
    }
    const { name } = this.constructor;
    showAs(this, () => lineOf(name, inputDim, dtype, this.layers, this.params));
  }

  /**
   * The scores of a batch, (N, classes): running statistics, and no dropout.
   *
   * @param x The batch: (N, C, H, W), or (N, ...) if the first layer is fully-connected.
   * @returns The scores.
   * @throws {TypeError} If x has a wrong type, dtype or rank.
   * @throws {RangeError} If its examples do not have the net's size.
   */
  loss(x: Tensor<ArrayOf<D>>): Tensor<ArrayOf<D>>;
  /**
   * The loss of a batch, penalty included, and its gradient with respect to every parameter.
   *
   * @param x The batch: (N, C, H, W), or (N, ...) if the first layer is fully-connected.
   * @param y The N labels, or the probabilities of the classes, (N, classes).
   * @param options Parameters whose gradients are not computed, who is told of the others, and gradients whose
   * arrays may be written over.
   * @returns The loss and the gradients.
   * @throws {TypeError} If x has a wrong type, dtype or rank, or y is neither.
   * @throws {RangeError} If examples do not have the net's size, N is 0, or a label is not a class.
   */
  loss(
    x: Tensor<ArrayOf<D>>,
    y: Targets,
    options?: LossOptions,
  ): LossAndGradients<ArrayOf<D>>;
  loss(
    x: Tensor<ArrayOf<D>>,
    y?: Targets,
    options: LossOptions = {},
  ): Tensor<ArrayOf<D>> | LossAndGradients<ArrayOf<D>> {
    if (y === undefined) return this.predict(x);
    this.#checkBatch(x, y);
    const grads: Record<string, Tensor<ArrayOf<D>>> = {}, workspace = this.#workspace;
    workspace?.begin(options.spent && Object.values(options.spent).map(({ data }) => data));
    const penalty = this.#penalty(options.onGradient);
    const { out, backward } = this.#inWorkspace(() =>
      this.#forward(x, "train", {
        grads,
        onGradient: penalty.onGradient,
        frozen: options.frozen ?? NONE,
        release: workspace && ((array) => workspace.release(array)),
      })
    );
    const { loss, dx } = this.#loss.of(out, y);
    // The first layer's dx is not needed.
    this.#inWorkspace(() => backward(dx, { dx: false }));
    // The loss may be a function that keeps the scores.
    workspace?.end([out, ...Object.values(grads)].map(({ data }) => data));
    return { loss: loss + penalty.loss(), grads };
  }

  /**
   * The losses of several batches and their gradients, as {@linkcode LayeredNet.loss} gives them, but with
   * the statistics of all batches together where batch normalization has those of one.
   *
   * @param batches The batches, of one size.
   * @param options How statistics are shared between processes, and which gradients are not computed.
   * @returns The loss of each batch, and its gradients.
   * @throws {TypeError} If an x has a wrong type, dtype or rank, or a y is neither labels nor probabilities.
   * @throws {RangeError} If examples do not have the net's size, a batch is empty or not as large as the
   * first, or a label is not a class.
   */
  losses(
    batches: readonly JointBatch<ArrayOf<D>>[],
    { gather, frozen = NONE, onGradient }: JointOptions,
  ): LossAndGradients<ArrayOf<D>>[] {
    for (const { x, y } of batches) {
      this.#checkBatch(x, y);
      checkTensorShape("x", x, batches[0].x.shape, "the first batch's");
    }
    const runs = batches.map(({ random = this.#random }, i) => {
      const { loss, onGradient: penalize } = this.#penalty((name, gradient) =>
        onGradient?.(i, name, gradient)
      );
      return {
        random,
        grads: {} as Record<string, Tensor<ArrayOf<D>>>,
        onGradient: penalize,
        loss,
      };
    });
    const x = join(batches.map(({ x }) => x));
    this.#workspace?.begin();
    const { out, backward } = this.#inWorkspace(() =>
      this.#forward(x, "train", { frozen, gather, joint: runs })
    );
    const losses = split(out, batches.length).map((scores, i) =>
      this.#loss.of(scores, batches[i].y)
    );
    this.#inWorkspace(() => backward(join(losses.map(({ dx }) => dx)), { dx: false }));
    const grads = runs.flatMap(({ grads }) => Object.values(grads));
    this.#workspace?.end([out, ...grads].map(({ data }) => data));
    return losses.map(({ loss }, i) => ({ loss: loss + runs[i].loss(), grads: runs[i].grads }));
  }

  /**
   * The scores of a batch, as {@linkcode LayeredNet.loss} gives them without labels.
   *
   * @example Classes, too
   * ```ts
   * import { argmax, RandomState, ThreeLayerConvNet } from "@cnn-layers/cnn-layers";
   *
   * const net = new ThreeLayerConvNet({ inputDim: [1, 8, 8], filterSize: 3, numFilters: 2 });
   * const scores = net.predict(new RandomState(0).randn([5, 1, 8, 8])); // (5, 10)
   * const classes = argmax(scores, 1); // 5 classes, from 0 to 9
   * ```
   *
   * @param x The batch.
   * @returns The scores, (N, classes): the class of an example is that of the highest, `argmax(scores, 1)`.
   * @throws {TypeError} If x has a wrong type, dtype or rank.
   * @throws {RangeError} If its examples do not have the net's size.
   */
  predict(x: Tensor<ArrayOf<D>>): Tensor<ArrayOf<D>> {
    this.#checkInput(x);
    // Whoever predicts may have trained for good.
    this.#workspace?.clear();
    return this.#forward(x, "test").out as Tensor<ArrayOf<D>>;
  }

  /**
   * The net as it is now, for a server that predicts again and again: weights of convolutions and of
   * fully-connected layers are packed once, and large ones read where they lie; batch normalization after
   * convolutions is done by them, and large arrays are used again. Parameters and running
   * statistics are copied: later training is not seen. The scores are those of {@linkcode LayeredNet.predict},
   * but for rounding.
   *
   * @example
   * ```ts
   * import { RandomState, ThreeLayerConvNet } from "@cnn-layers/cnn-layers";
   *
   * const net = new ThreeLayerConvNet({ inputDim: [1, 8, 8], filterSize: 3, numFilters: 2 });
   * const server = net.prepare();
   * const scores = server.predict(new RandomState(0).randn([1, 1, 8, 8])); // (1, 10)
   * ```
   *
   * @returns What predicts, as {@linkcode LayeredNet.predict} does.
   */
  prepare(): PreparedNet<ArrayOf<D>> {
    const planner = new NetPlanner(this.#planner.dtype, true);
    const plan = planSequence(this.layers.map(({ layer }) => layer), this.inputDim, planner);
    for (const [name, { data }] of Object.entries(this.#planner.state)) {
      planner.state[name].data.set(data);
    }
    const params = copyOf(this.params, "params"), prepared: Run["prepared"] = new Map();
    const workspace = releasesAll(plan) ? new Workspace() : undefined;
    const release = workspace && ((array: FloatArray) => workspace.release(array));
    return {
      predict: (x) => {
        this.#checkInput(x);
        const forward = () => this.#forward(x, "test", { params, prepared, release }, plan).out;
        const scores = workspace === undefined ? forward() : workspace.run(forward);
        workspace?.end([scores.data]);
        return scores as typeof x;
      },
    };
  }

  /**
   * Says in which layer non-finite values begin.
   *
   * @param x A batch whose loss is NaN or infinite.
   * @returns Where the first layer stands whose output for the batch is not finite; undefined if there
   * is none. Batch normalization is that of use, with running statistics.
   * @throws {TypeError} If x has a wrong type, dtype or rank.
   * @throws {RangeError} If its examples do not have the net's size.
   */
  findNonFinite(x: Tensor<ArrayOf<D>>): string | undefined {
    this.#checkInput(x);
    let path: string | undefined;
    this.#forward(x, "test", {
      watch: (layer, { data }) => {
        if (path === undefined && !data.every(Number.isFinite)) path = layer.path;
      },
    });
    return path;
  }

  /**
   * The kernels that run in this net, layer by layer.
   *
   * @example
   * ```ts
   * import { ThreeLayerConvNet } from "@cnn-layers/cnn-layers";
   *
   * const net = new ThreeLayerConvNet({ inputDim: [1, 28, 28], filterSize: 5, numFilters: 8 });
   * for (const { layer, name, tier } of net.explain()) console.log(layer, name, tier);
   * ```
   *
   * @returns For each layer that a kernel runs its name, and why it is that one.
   */
  explain(): readonly LayerExplanation[] {
    const explained = ({ name, plan }: PlannedLayer): readonly LayerExplanation[] => [
      ...plan.explain === undefined ? [] : [{ layer: name, ...plan.explain() }],
      ...(plan.parts ?? []).flatMap(explained),
    ];
    return this.layers.flatMap(explained);
  }

  /**
   * The layers as a table: their shapes, parameters and multiply-adds for one example.
   *
   * @example
   * ```ts
   * import { ThreeLayerConvNet } from "@cnn-layers/cnn-layers";
   *
   * console.log(new ThreeLayerConvNet().summary());
   * ```
   *
   * @returns The table, to be printed.
   */
  summary(): string {
    return summaryOf(this.inputDim, this.layers);
  }

  /**
   * The net as data, without its parameters; `Net.fromJSON` makes a net of it again.
   *
   * @returns The description: JSON.stringify calls this.
   * @throws {TypeError} If an argument of a layer is not plain data.
   */
  toJSON(): NetDescription {
    return {
      inputDim: this.inputDim,
      layers: this.layers.map(({ layer, path }) => describeLayer(layer, path)),
      reg: this.reg,
      weightScale: this.#weightScale,
      dtype: this.#planner.dtype,
      loss: this.#loss.name,
    };
  }

  /**
   * A copy of what training writes beside the parameters: batch normalization's running statistics,
   * and where dropout's random numbers stand.
   *
   * @returns The state, plain data.
   */
  getState(): ModelState {
    const statistics = copyOf(this.#planner.state, "statistics");
    return this.#draws ? { statistics, random: this.#random.getState() } : { statistics };
  }

  /**
   * Continues where {@linkcode LayeredNet.getState} was called.
   *
   * @param state What getState returned, of a net with the same description.
   * @throws {TypeError} If it is not such a state, or that of another net.
   * @throws {RangeError} If a size differs.
   */
  setState(state: ModelState): void {
    checkOptions("state", state, ["statistics", "random"]);
    const { statistics, random } = state;
    const own = this.#planner.state;
    checkTensorsLike("state.statistics", statistics, own, "this net's");
    const expected = this.#draws ? "be a RandomState's" : "be left out";
    checkType(this.#draws === (random !== undefined), "state.random", expected, random);
    if (random !== undefined) this.#random.setState(random);
    for (const [name, { data }] of Object.entries(own)) data.set(statistics[name].data);
  }

  /**
   * A copy of all tensors that the net's scores depend on: the parameters, and batch normalization's
   * running statistics, each under its name. What a file of weights holds.
   *
   * @returns The tensors, by name.
   */
  state(): Record<string, Tensor<ArrayOf<D>>> {
    const tensors = { ...this.params, ...this.#planner.state as typeof this.params };
    return copyOf(tensors, "state");
  }

  /**
   * Takes parameters and running statistics from tensors of the same names, such as a file holds.
   * They are copied; values of the other dtype are rounded to the net's. Nothing is written before
   * every tensor has been checked.
   *
   * @example The weights of a net for 10 classes, but for its last layer
   * ```ts
   * import { affine, conv, Net, relu } from "@cnn-layers/cnn-layers";
   *
   * const make = (classes: number) =>
   *   new Net({ inputDim: [3, 8, 8], layers: [conv(4), relu(), affine(classes)] });
   * const trained = make(10), net = make(3);
   * const { W2: _W2, b2: _b2, ...rest } = trained.state();
   * console.log(net.loadState(rest, { strict: false })); // { missing: ["W2", "b2"], extra: [] }
   * ```
   *
   * @param record The tensors, by name, as {@linkcode LayeredNet.state} gives them.
   * @param options Whether names may be missing or unknown.
   * @returns Which are; none unless `strict` is false.
   * @throws {TypeError} If a value is not a tensor, a rank differs, or a name is missing or unknown; the
   * message names every tensor that is missing, extra or of a wrong shape.
   * @throws {RangeError} If only sizes differ.
   */
  loadState(record: Readonly<Record<string, Tensor>>, options: LoadStateOptions = {}): LoadedState {
    const { strict } = readOptions("options", options, { strict: option(checkBoolean, true) });
    const { params, state, dtype } = this.#planner;
    const shapes = Object.fromEntries(
      Object.entries({ ...params, ...state }).map(([name, { shape }]) => [name, shape]),
    );
    const left = checkState("record", record, shapes, strict);
    for (const [name, { data, shape }] of Object.entries(record)) {
      if (Object.hasOwn(state, name)) state[name].data.set(data);
      else if (Object.hasOwn(params, name)) {
        // A new tensor, as that before it may be another net's too.
        const own = newArray(data.length, dtype) as ArrayOf<D>;
        own.set(data);
        this.params[name] = { data: own, shape: [...shape] };
      }
    }
    return left;
  }

  /** Data type of parameters, inputs and scores. */
  get dtype(): D {
    return this.#planner.dtype as D;
  }

  /** Whether a layer continues the stream of random numbers from step to step. */
  get #draws(): boolean {
    return this.#planner.draws && this.#seed === undefined;
  }

  /** Does a part of a training iteration with the arrays of those before. */
  #inWorkspace<T>(part: () => T): T {
    return this.#workspace === undefined ? part() : this.#workspace.run(part);
  }

  /** The L2 penalty, added to gradients when they are known, and told at the end. */
  #penalty(then: LossOptions["onGradient"]) {
    let squares = 0;
    return {
      onGradient: (name: string, gradient: Tensor) => {
        if (this.reg !== 0 && name.startsWith("W")) {
          squares += runMap(addPenalty, [this.params[name], gradient], [this.reg])[0];
        }
        then?.(name, gradient);
      },
      loss: () => 0.5 * this.reg * squares,
    };
  }

  /** Checks a batch before the forward pass, which writes running statistics. */
  #checkBatch(x: Tensor, y: Targets): void {
    this.#checkInput(x);
    const [N] = x.shape;
    if (N === 0) {
      throw new ArgumentRangeError(`x must have an example or more: it has ${show(x.shape)}`);
    }
    checkTargets("y", y, N, this.#plan.outShape[0]);
  }

  #checkInput(x: unknown): asserts x is Tensor {
    checkTensor("x", x);
    const [N = 0, ...example] = x.shape;
    const shape = this.inputDim, { dtype } = this.#planner;
    const why = `(N, ${shape.join(", ")}), the net's input`;
    const { flattens = false } = this.#plan.chain?.[0]?.plan ?? {};
    const flat = flattens && sizeOf(example) === sizeOf(shape);
    if (x.shape.length < 2 || !flat) checkTensorShape("x", x, [N, ...shape], why);
    if (dtypeOf(x.data) !== dtype) {
      throw new ArgumentTypeError(
        `x must be ${dtype}, as the net's parameters are: it is ${dtypeOf(x.data)}`,
        "INVALID_DTYPE",
      );
    }
  }

  #forward(x: Tensor, mode: Mode, more: Partial<Run> = {}, plan: LayerPlan = this.#plan): Pass {
    const { params } = this, random = this.#random, seed = this.#seed;
    const run = {
      mode,
      params,
      random,
      seed,
      state: {},
      ownsInput: false,
      grads: {},
      frozen: NONE,
    };
    return plan.forward(x, {}, { ...run, ...more });
  }
}

/** Whether neither a layer nor one inside it holds on to a tensor. */
function releasesAll({ releases, parts = [] }: LayerPlan): boolean {
  return releases === true && parts.every(({ plan }) => releasesAll(plan));
}

/** No parameter is frozen. */
const NONE: ReadonlySet<string> = new Set();

/** A layer as data, and those inside it. */
function describeLayer({ type, args = [] }: LayerDefinition, path: string): LayerDescription {
  const describe = (arg: unknown, i: number) => {
    const name = `${path}.args[${i}]`;
    return isLayer(arg) ? describeLayer(arg, name) : copyOf(arg, name);
  };
  return { type, args: args.map(describe) };
}

/** Normal weights of a standard deviation: drawn in float64, rounded to the dtype once. */
function drawWeights<D extends DType>(
  random: RandomState,
  shape: readonly number[],
  scale: number,
  dtype: D | undefined,
): Tensor<ArrayOf<D>> {
  const weights = zeros(shape, dtype);
  const data: FloatArray = weights.data;
  for (let i = 0; i < data.length; i++) data[i] = scale * random.randn();
  return weights;
}
