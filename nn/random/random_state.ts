/**
 * Random numbers: numpy's legacy generator, bit for bit.
 *
 * Source: the Mersenne Twister MT19937 of Matsumoto and Nishimura (1998), and the distributions of
 * numpy.random.RandomState, whose streams numpy has frozen (NEP 19).
 *
 * @module
 */

import { checkOptions, checkType, checkWhole } from "../../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../../kernels/errors.ts";
import type { DType, Tensor } from "../../kernels/tensor.ts";
import { checkBoolean, option, readOptions } from "../checks.ts";
import { log } from "../../kernels/log.ts";
import { type ArrayOf, zeros } from "../tensor.ts";

/** Where a {@linkcode RandomState} stands: plain data that survives JSON exactly. */
export interface RandomStateData {
  /** The 624 words of the Mersenne Twister, each from 0 to 2^32 - 1. */
  readonly key: readonly number[];
  /** How many of the words have been used, from 0 to 624. */
  readonly position: number;
  /** The second number of a pair of normal ones, kept for the next call; null if there is none. */
  readonly gauss: number | null;
}

/** How {@linkcode RandomState.choice} draws. */
export interface ChoiceOptions {
  /** True puts each item back before the next is drawn. Default: true. */
  readonly replace?: boolean;
}

/** What {@linkcode RandomState.shuffle} takes: an array or a typed array. */
export interface Shufflable<T> {
  /** How many items there are. */
  readonly length: number;
  /** The items. */
  [index: number]: T;
}

const CHOICE_OPTIONS = { replace: option(checkBoolean, true) };

/** Words of the state, and the distance between the words that are mixed. */
const WORDS = 624, MIDDLE = 397;

/** Lets one stream continue where another stands: getState and setState without plain data between. */
export let copyRandom: (from: RandomState, to: RandomState) => void;

/**
 * A source of random numbers: for a seed, the numbers that numpy draws after `numpy.random.seed(seed)`.
 *
 * @example The first numbers of the course's seed
 * ```ts
 * import { RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * if (random.randn() !== 0.41794341085522313) throw new Error("not numpy's number");
 * const w = random.randn([32, 3, 7, 7], "float32"); // a tensor
 * const label = random.randint(10); // 0 .. 9
 * ```
 */
export class RandomState {
  readonly #key = new Uint32Array(WORDS);
  #position = WORDS;
  #gauss: number | undefined;

  static {
    copyRandom = (from, to) => {
      to.#key.set(from.#key);
      to.#position = from.#position;
      to.#gauss = from.#gauss;
    };
  }

  /**
   * Starts a stream.
   *
   * @param seed A whole number from 0 to 2^32 - 1.
   * @throws {TypeError} If the seed is not a number.
   * @throws {RangeError} If it is not whole, or out of range.
   */
  constructor(seed: number) {
    checkWord("seed", seed);
    const key = this.#key;
    key[0] = seed;
    for (let i = 1; i < WORDS; i++) {
      key[i] = Math.imul(1812433253, key[i - 1] ^ (key[i - 1] >>> 30)) + i;
    }
  }

  /** Uniform over 0 .. 2^32 - 1. */
  #word(): number {
    if (this.#position === WORDS) this.#mix();
    let y = this.#key[this.#position++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** Makes the next 624 words. */
  #mix(): void {
    const key = this.#key;
    for (let i = 0; i < WORDS; i++) {
      const next = i + 1 < WORDS ? i + 1 : 0;
      const far = i + MIDDLE < WORDS ? i + MIDDLE : i + MIDDLE - WORDS;
      const y = (key[i] & 0x80000000) | (key[next] & 0x7fffffff);
      key[i] = key[far] ^ (y >>> 1) ^ (-(y & 1) & 0x9908b0df);
    }
    this.#position = 0;
  }

  /** Uniform over [0, 1), with 53 random bits. */
  #uniform(): number {
    const high = this.#word() >>> 5;
    return (high * 67108864 + (this.#word() >>> 6)) / 9007199254740992;
  }

  /** Normal with mean 0 and variance 1: the polar method makes two, the second is for the next call. */
  #normal(): number {
    if (this.#gauss !== undefined) {
      const gauss = this.#gauss;
      this.#gauss = undefined;
      return gauss;
    }
    let x1, x2, r2;
    do {
      x1 = 2 * this.#uniform() - 1;
      x2 = 2 * this.#uniform() - 1;
      r2 = x1 * x1 + x2 * x2;
    } while (r2 >= 1 || r2 === 0);
    const f = Math.sqrt(-2 * log(r2) / r2);
    this.#gauss = f * x1;
    return f * x2;
  }

  /** Uniform over 0 .. max, max below 2^32: words masked to max's bits, drawn until one is not above it. */
  #upTo(max: number): number {
    if (max === 0) return 0;
    const mask = 0xffffffff >>> Math.clz32(max);
    let value;
    do value = (this.#word() & mask) >>> 0; while (value > max);
    return value;
  }

  /**
   * Normal numbers, mean 0 and variance 1: `numpy.random.randn`.
   *
   * @example
   * ```ts
   * import { RandomState } from "@cnn-layers/cnn-layers";
   *
   * const x = new RandomState(231).randn([4, 3, 5, 5]);
   * ```
   *
   * @returns One number.
   */
  randn(): number;
  /**
   * A tensor of normal numbers.
   *
   * @param shape The size of each dimension.
   * @param dtype The data type: float32 rounds the numbers of float64.
   * @returns The tensor.
   * @throws {TypeError} If the shape is not an array of numbers, or the dtype unknown.
   * @throws {RangeError} If a size is negative or not whole.
   */
  randn<D extends DType = "float64">(shape: readonly number[], dtype?: D): Tensor<ArrayOf<D>>;
  randn<D extends DType>(shape?: readonly number[], dtype?: D): number | Tensor<ArrayOf<D>> {
    if (shape === undefined) return this.#normal();
    const result = zeros(shape, dtype);
    const { data } = result;
    for (let i = 0; i < data.length; i++) data[i] = this.#normal();
    return result;
  }

  /**
   * Uniform numbers from 0 up to, not including, 1: `numpy.random.rand`.
   *
   * @example
   * ```ts
   * import { RandomState } from "@cnn-layers/cnn-layers";
   *
   * const coin = new RandomState(0).rand() < 0.5;
   * ```
   *
   * @returns One number.
   */
  rand(): number;
  /**
   * A tensor of uniform numbers.
   *
   * @param shape The size of each dimension.
   * @param dtype The data type: float32 rounds the numbers of float64, so that 1 is possible.
   * @returns The tensor.
   * @throws {TypeError} If the shape is not an array of numbers, or the dtype unknown.
   * @throws {RangeError} If a size is negative or not whole.
   */
  rand<D extends DType = "float64">(shape: readonly number[], dtype?: D): Tensor<ArrayOf<D>>;
  rand<D extends DType>(shape?: readonly number[], dtype?: D): number | Tensor<ArrayOf<D>> {
    if (shape === undefined) return this.#uniform();
    const result = zeros(shape, dtype);
    const { data } = result;
    for (let i = 0; i < data.length; i++) data[i] = this.#uniform();
    return result;
  }

  /**
   * A whole number, uniform from low up to, not including, high: `numpy.random.randint`.
   *
   * @example Ten labels
   * ```ts
   * import { RandomState } from "@cnn-layers/cnn-layers";
   *
   * const y = new RandomState(0).randint(0, 10, 10);
   * if (y.join() !== "5,0,3,3,7,9,3,5,2,4") throw new Error("not numpy's numbers");
   * ```
   *
   * @param low The smallest number; if high is left out, 0 takes its place and low that of high.
   * @param high One more than the largest value.
   * @returns One number.
   * @throws {TypeError} If an argument is not a number.
   * @throws {RangeError} If an argument is not whole, high is not above low, or one is not within 32 bits.
   */
  randint(low: number, high?: number): number;
  /**
   * Many of them.
   *
   * @param low The smallest number; if high is undefined, 0 takes its place and low that of high.
   * @param high One more than the largest value.
   * @param size How many.
   * @returns The values.
   * @throws {TypeError} If an argument is not a number.
   * @throws {RangeError} If an argument is not whole, high is not above low, or one is not within 32 bits.
   */
  randint(low: number, high: number | undefined, size: number): Int32Array<ArrayBuffer>;
  randint(low: number, high?: number, size?: number): number | Int32Array {
    const [first, end] = high === undefined ? [0, low] : [low, high];
    checkWhole("low", first, -(2 ** 31));
    checkWhole("high", end, -(2 ** 31));
    if (first >= end || end > 2 ** 31) {
      throw new ArgumentRangeError(
        `high must be above low, and at most 2^31: low is ${first}, high is ${end}`,
        "OUT_OF_RANGE",
      );
    }
    const max = end - first - 1;
    if (size === undefined) return first + this.#upTo(max);
    checkWhole("size", size, 0);
    const result = new Int32Array(size);
    for (let i = 0; i < size; i++) result[i] = first + this.#upTo(max);
    return result;
  }

  /**
   * One number from 0 to n - 1: `numpy.random.choice(n)`.
   *
   * @example A batch of 50 out of 49,000
   * ```ts
   * import { RandomState } from "@cnn-layers/cnn-layers";
   *
   * const batch = new RandomState(0).choice(49000, 50);
   * const [first] = new RandomState(0).choice(["cat", "dog", "frog"], 2, { replace: false });
   * if (first !== "frog") throw new Error("not numpy's choice");
   * ```
   *
   * @param n How many numbers there are.
   * @returns The number.
   * @throws {TypeError} If n is not a number.
   * @throws {RangeError} If n is not whole, or not above 0.
   */
  choice(n: number): number;
  /**
   * Many of them.
   *
   * @param n How many numbers there are.
   * @param size How many are drawn.
   * @param options `replace: false` draws none twice.
   * @returns The values.
   * @throws {TypeError} If a type is wrong, or an option unknown.
   * @throws {RangeError} If a number is not whole, or more are drawn than there are.
   */
  choice(n: number, size: number, options?: ChoiceOptions): Int32Array<ArrayBuffer>;
  /**
   * One of some items.
   *
   * @param items The items.
   * @returns The item.
   * @throws {TypeError} If items is not an array.
   * @throws {RangeError} If there are none.
   */
  choice<T>(items: ArrayLike<T>): T;
  /**
   * Many of some items.
   *
   * @param items The items.
   * @param size How many are drawn.
   * @param options `replace: false` draws none twice.
   * @returns The drawn items.
   * @throws {TypeError} If a type is wrong, or an option unknown.
   * @throws {RangeError} If size is not whole, or more are drawn than there are.
   */
  choice<T>(items: ArrayLike<T>, size: number, options?: ChoiceOptions): T[];
  choice<T>(
    from: number | ArrayLike<T>,
    size?: number,
    options: ChoiceOptions = {},
  ): number | Int32Array | T | T[] {
    const { replace } = readOptions("options", options, CHOICE_OPTIONS);
    if (size !== undefined) checkWhole("size", size, 0);
    if (typeof from === "number") checkCount(from);
    else checkItems(from);
    const n = typeof from === "number" ? from : from.length;
    const drawn = size ?? 1;
    if (n === 0 ? drawn > 0 : !replace && drawn > n) {
      throw new ArgumentRangeError(
        `Cannot draw ${drawn} of ${n}${replace ? "" : " without replacement"}`,
      );
    }
    const indices = !replace
      ? this.permutation(n).subarray(0, drawn)
      : drawn === 0
      ? new Int32Array(0)
      : this.randint(0, n, drawn);
    if (typeof from === "number") return size === undefined ? indices[0] : indices;
    return size === undefined ? from[indices[0]] : Array.from(indices, (i) => from[i]);
  }

  /**
   * The numbers 0 to n - 1 in random order: `numpy.random.permutation(n)`.
   *
   * @example
   * ```ts
   * import { RandomState } from "@cnn-layers/cnn-layers";
   *
   * const order = new RandomState(0).permutation(5);
   * if (order.join() !== "2,0,1,3,4") throw new Error("not numpy's order");
   * ```
   *
   * @param n How many values.
   * @returns The values.
   * @throws {TypeError} If n is not a number.
   * @throws {RangeError} If n is negative, not whole, or above 2^31.
   */
  permutation(n: number): Int32Array<ArrayBuffer> {
    checkCount(n);
    const result = new Int32Array(n);
    for (let i = 0; i < result.length; i++) result[i] = i;
    this.shuffle(result);
    return result;
  }

  /**
   * Puts items in random order, in place: `numpy.random.shuffle`.
   *
   * @example
   * ```ts
   * import { RandomState } from "@cnn-layers/cnn-layers";
   *
   * const letters = ["a", "b", "c", "d", "e"];
   * new RandomState(0).shuffle(letters);
   * if (letters.join("") !== "cabde") throw new Error("not numpy's order");
   * ```
   *
   * @param items An array or a typed array.
   * @throws {TypeError} If it is none.
   */
  shuffle<T>(items: Shufflable<T>): void {
    checkItems(items);
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.#upTo(i);
      const item = items[i];
      items[i] = items[j];
      items[j] = item;
    }
  }

  /**
   * Where the stream stands, for {@linkcode RandomState.setState}: `numpy.random.get_state`.
   *
   * @example Draw the same numbers again
   * ```ts
   * import { RandomState } from "@cnn-layers/cnn-layers";
   *
   * const random = new RandomState(0);
   * const state = JSON.parse(JSON.stringify(random.getState()));
   * const first = random.randn();
   * random.setState(state);
   * if (random.randn() !== first) throw new Error("not the same number");
   * ```
   *
   * @returns The state, as plain data.
   */
  getState(): RandomStateData {
    // A loop: spreading a typed array takes ten times as long.
    const key = new Array<number>(WORDS);
    for (let i = 0; i < WORDS; i++) key[i] = this.#key[i];
    return { key, position: this.#position, gauss: this.#gauss ?? null };
  }

  /**
   * Continues where {@linkcode RandomState.getState} was called.
   *
   * @param state What getState returned.
   * @throws {TypeError} If it is not such a state.
   * @throws {RangeError} If a number in it is out of range.
   */
  setState(state: RandomStateData): void {
    checkOptions("state", state, ["key", "position", "gauss"]);
    const { key, position, gauss } = state;
    checkType(
      Array.isArray(key) && key.length === WORDS,
      "state.key",
      `be an array of ${WORDS} words`,
      key,
    );
    for (const [i, word] of key.entries()) checkWord(`state.key[${i}]`, word);
    checkWhole("state.position", position, 0, WORDS);
    checkType(
      gauss === null || Number.isFinite(gauss),
      "state.gauss",
      "be null or a finite number",
      gauss,
    );
    this.#key.set(key);
    this.#position = position;
    this.#gauss = gauss ?? undefined;
  }
}

/** Checks that a value is a source of random numbers. */
export function checkRandom(name: string, value: unknown): asserts value is RandomState {
  checkType(value instanceof RandomState, name, "be a RandomState", value);
}

/** Checks that options name one source of random numbers at most. */
export function checkOneSource(name: string, seed: unknown, random: unknown): void {
  if (seed === undefined || random === undefined) return;
  throw new ArgumentTypeError(`${name} must have a seed or a random, not both`);
}

/** Checks that a value fits into 32 bits without a sign. */
function checkWord(name: string, value: unknown): void {
  checkWhole(name, value, 0, 0xffffffff);
}

/** Checks that a value is a number of things that 32 bits can count. */
function checkCount(value: unknown): asserts value is number {
  checkWhole("n", value, 0, 2 ** 31);
}

/** Checks that a value is an array or a typed array. */
function checkItems(value: unknown): void {
  const isArray = Array.isArray(value) || ArrayBuffer.isView(value) && !(value instanceof DataView);
  checkType(isArray, "The items", "be an array or a typed array", value);
}
