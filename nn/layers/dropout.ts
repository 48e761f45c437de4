/**
 * Dropout.
 *
 * Source: nndl/layers.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkTensor, checkTensorShape, checkWithin } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import {
  checkCache,
  checkMode,
  type Mode,
  option,
  readOptions,
  required,
  whole,
} from "../checks.ts";
import { checkOneSource, checkRandom, RandomState } from "../random/random_state.ts";
import { zerosLike } from "../tensor.ts";
import { type LayerDefinition, layerOf } from "./layer.ts";

/** Which numbers dropout drops: the course's `dropout_param`. */
export interface DropoutParams {
  /** Whether values are dropped: in training they are, at inference none is. */
  readonly mode: Mode;
  /** Probability to keep a number, above 0 and at most 1. */
  readonly p: number;
  /** Makes every call draw the same mask, which a numerical gradient needs. */
  readonly seed?: number;
  /** Where the mask is drawn from, if not a seed is given. Default: one that the library starts at 0. */
  readonly random?: RandomState;
}

/** What dropout's backward pass needs of its forward pass. */
export interface DropoutCache {
  /** 1 where a value was kept, 0 where it was dropped; undefined in test mode, where all are kept. */
  readonly kept: Uint8Array | undefined;
  /** What a kept value was multiplied by. */
  readonly scale: number;
  /** Shape of the input. */
  readonly shape: readonly number[];
}

/** What dropout draws from by default: as numpy's global generator, but always the same. */
const defaultRandom = new RandomState(0);

/**
 * Inverted dropout: in training, each value is kept with probability p and divided by p, or set to
 * 0; at inference, all are kept as they are.
 *
 * Source: dropout_forward in nndl/layers.py; Srivastava et al., "Dropout", JMLR 15 (2014).
 *
 * @example
 * ```ts
 * import { dropoutForward, full } from "@cnn-layers/cnn-layers";
 *
 * const { out } = dropoutForward(full([100, 10], 1), { mode: "train", p: 0.5, seed: 123 });
 * if (out.data.some((value) => value !== 0 && value !== 2)) throw new Error("not 0 or 1 / p");
 * ```
 *
 * @param x Input, any shape.
 * @param dropoutParam Mode, probability to keep, and where the mask is drawn from.
 * @returns `out`, of x's shape, and the cache.
 * @throws {TypeError} If a type is wrong, an option unknown, or there are both a seed and a random.
 * @throws {RangeError} If p is not above 0, or above 1.
 */
export function dropoutForward<A extends FloatArray>(
  x: Tensor<A>,
  dropoutParam: DropoutParams,
): { out: Tensor<A>; cache: DropoutCache } {
  checkTensor("x", x);
  const { mode, p, seed, random } = readOptions("dropoutParam", dropoutParam, DROPOUT_PARAM);
  checkOneSource("dropoutParam", seed, random);
  // A copy: the cache is its own.
  const shape = [...x.shape];
  if (mode === "test") {
    const out = zerosLike(x);
    out.data.set(x.data);
    return { out, cache: { kept: undefined, scale: 1, shape } };
  }
  const source = random ?? (seed === undefined ? defaultRandom : new RandomState(seed));
  const out = zerosLike(x);
  const from = x.data, to = out.data;
  const kept = new Uint8Array(from.length);
  const scale = 1 / p;
  for (let i = 0; i < kept.length; i++) kept[i] = Number(source.rand() < p);
  for (let i = 0; i < kept.length; i++) to[i] = from[i] * (kept[i] * scale);
  return { out, cache: { kept, scale, shape } };
}

/** The parameters of dropout: the mode and p must be given. */
const DROPOUT_PARAM = {
  mode: required(checkMode),
  p: required(checkKeep),
  seed: option(whole(0)),
  random: option(checkRandom),
};

/** Checks a probability to keep a number, which must not be 0. */
export function checkKeep(name: string, p: unknown): asserts p is number {
  checkWithin(name, p, 0, 1);
  if (p === 0) throw new ArgumentRangeError(`${name} must be above 0: received 0`, "OUT_OF_RANGE");
}

/**
 * Gradient of dropout: the values that were kept, divided by p.
 *
 * @example
 * ```ts
 * import { dropoutBackward, dropoutForward, full } from "@cnn-layers/cnn-layers";
 *
 * const x = full([4, 5], 1);
 * const { out, cache } = dropoutForward(x, { mode: "train", p: 0.5, seed: 1 });
 * const dx = dropoutBackward(x, cache);
 * if (dx.data.join() !== out.data.join()) throw new Error("not the mask of the forward pass");
 * ```
 *
 * @param dout Gradient of the output.
 * @param cache From the forward pass.
 * @returns dx, of the input's shape.
 * @throws {TypeError} If dout or the cache has a wrong type or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function dropoutBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: DropoutCache,
): Tensor<A> {
  checkCache(cache, ["kept", "scale", "shape"]);
  const { kept, scale, shape } = cache;
  checkTensorShape("dout", dout, shape, "dropout's output");
  const dx = zerosLike(dout);
  const from = dout.data, to = dx.data;
  if (kept === undefined) to.set(from);
  else for (let i = 0; i < to.length; i++) to[i] = from[i] * (kept[i] * scale);
  return dx;
}

/**
 * Dropout as a layer of a net. Its masks are drawn from the net's random numbers, or are the same at
 * every step if the net has a seed.
 *
 * @example
 * ```ts
 * import { affine, dropout, Net, relu } from "@cnn-layers/cnn-layers";
 *
 * const layers = [affine(50), relu(), dropout(0.5), affine(10)];
 * const net = new Net({ inputDim: 20, layers });
 * ```
 *
 * @param p Probability to keep a number, above 0 and at most 1.
 * @returns The layer.
 * @throws {TypeError} If p is not a number.
 * @throws {RangeError} If it is not above 0, or above 1.
 */
export function dropout(p: number): LayerDefinition {
  checkKeep("dropout.p", p);
  return layerOf("dropout", [p], (inShape) => ({
    outShape: inShape,
    draws: true,
    ownsOut: true,
    forward(x, _, { mode, random, seed }) {
      const source = seed === undefined ? { random } : { seed };
      const { out, cache } = dropoutForward(x, { mode, p, ...source });
      return { out, backward: (dout) => ({ dx: dropoutBackward(dout, cache) }) };
    },
  }));
}
