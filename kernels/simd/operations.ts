/**
 * What the interpreter's instructions compute, each with the bits that WebAssembly gives.
 *
 * Lanes of float32 are computed in float64 and rounded when they are stored: for one addition,
 * subtraction, multiplication or division that is the same as rounding at once.
 *
 * @module
 */

/** An instruction with its operands, ready to run. */
export type Step = () => void;
/** Makes a step, given the slot of its result. */
export type Make = (to: number) => Step;
/** The same, given the slots of its operands too: as many as it has parameters. */
export type Operation = (to: number, a: number, b: number) => Step;

/**
 * What each instruction does; those of the inner loops are written out.
 *
 * @param i The slots, which count in words of 32 bits.
 * @returns The operations by name.
 */
export function operations(i: Int32Array<ArrayBuffer>): Readonly<Record<string, Operation>> {
  const s = new Float32Array(i.buffer), d = new Float64Array(i.buffer);
  const long = new BigInt64Array(i.buffer);
  type Numbers = Int32Array | Float32Array | Float64Array;
  const widthOf = (numbers: Numbers) => numbers === d ? 2 : 1;

  /** A number of lanes, each by a function. */
  const lanes =
    (numbers: Numbers, count: number, f: (a: number, b: number) => number): Operation =>
    (to, a, b) => {
      const width = widthOf(numbers);
      return () => {
        for (let k = 0; k < count; k++) {
          numbers[to / width + k] = f(numbers[a / width + k], numbers[b / width + k]);
        }
      };
    };
  /** A mask for each lane. */
  const masks =
    (numbers: Numbers, test: (a: number, b: number) => boolean): Operation => (to, a, b) => {
      const width = widthOf(numbers);
      return () => {
        for (let k = 0; k < 4; k += width) {
          const mask = -Number(test(numbers[(a + k) / width], numbers[(b + k) / width]));
          i.fill(mask, to + k, to + k + width);
        }
      };
    };
  /** The square root of each lane: rounded once, as a root of a float32 in float64 is when it is stored. */
  const roots = (numbers: Numbers, count: number): Operation => (to, a) => {
    const width = widthOf(numbers);
    return () => {
      for (let k = 0; k < count; k++) numbers[to / width + k] = Math.sqrt(numbers[a / width + k]);
    };
  };
  /** The first operand's lane, bit by bit, unless the second's is larger. */
  const pmax = (numbers: Numbers): Operation => (to, a, b) => {
    const width = widthOf(numbers);
    return () => {
      for (let k = 0; k < 4; k += width) {
        const from = k + (numbers[(a + k) / width] < numbers[(b + k) / width] ? b : a);
        i.copyWithin(to + k, from, from + width);
      }
    };
  };

  return {
    "i32.ne": lanes(i, 1, (a, b) => Number(a !== b)),
    "i32.lt_u": lanes(i, 1, (a, b) => Number(a >>> 0 < b >>> 0)),
    "i32.add": (to, a, b) => () => {
      i[to] = i[a] + i[b];
    },
    "i32.mul": lanes(i, 1, Math.imul),
    "i32.and": lanes(i, 1, (a, b) => a & b),
    "v128.and": lanes(i, 4, (a, b) => a & b),
    "v128.andnot": lanes(i, 4, (a, b) => a & ~b),
    "v128.or": lanes(i, 4, (a, b) => a | b),
    "v128.xor": lanes(i, 4, (a, b) => a ^ b),
    "i64x2.shl": (to, a, b) => () => {
      const by = BigInt(i[b] & 63);
      for (let k = 0; k < 2; k++) long[to / 2 + k] = long[a / 2 + k] << by;
    },
    "i64x2.add": (to, a, b) => () => {
      for (let k = 0; k < 2; k++) long[to / 2 + k] = long[a / 2 + k] + long[b / 2 + k];
    },
    "f32x4.demote_f64x2_zero": (to, a) => () => {
      s[to] = d[a / 2];
      s[to + 1] = d[a / 2 + 1];
      d[to / 2 + 1] = 0;
    },
    "f64x2.promote_low_f32x4": (to, a) => () => {
      d[to / 2 + 1] = s[a + 1];
      d[to / 2] = s[a];
    },
    "f32x4.eq": masks(s, (a, b) => a === b),
    "f32x4.ne": masks(s, (a, b) => a !== b),
    "f32x4.gt": masks(s, (a, b) => a > b),
    "f32x4.sqrt": roots(s, 4),
    "f32x4.add": (to, a, b) => () => {
      s[to] = s[a] + s[b];
      s[to + 1] = s[a + 1] + s[b + 1];
      s[to + 2] = s[a + 2] + s[b + 2];
      s[to + 3] = s[a + 3] + s[b + 3];
    },
    "f32x4.sub": lanes(s, 4, (a, b) => a - b),
    "f32x4.mul": (to, a, b) => () => {
      s[to] = s[a] * s[b];
      s[to + 1] = s[a + 1] * s[b + 1];
      s[to + 2] = s[a + 2] * s[b + 2];
      s[to + 3] = s[a + 3] * s[b + 3];
    },
    "f32x4.div": lanes(s, 4, (a, b) => a / b),
    // NaN wins, and 0 is above -0.
    "f32x4.max": lanes(s, 4, (a, b) => Math.max(a, b)),
    "f32x4.pmax": pmax(s),
    "f64x2.eq": masks(d, (a, b) => a === b),
    "f64x2.ne": masks(d, (a, b) => a !== b),
    "f64x2.gt": masks(d, (a, b) => a > b),
    "f64x2.sqrt": roots(d, 2),
    "f64x2.add": (to, a, b) => () => {
      d[to >> 1] = d[a >> 1] + d[b >> 1];
      d[(to >> 1) + 1] = d[(a >> 1) + 1] + d[(b >> 1) + 1];
    },
    "f64x2.sub": lanes(d, 2, (a, b) => a - b),
    "f64x2.mul": (to, a, b) => () => {
      d[to >> 1] = d[a >> 1] * d[b >> 1];
      d[(to >> 1) + 1] = d[(a >> 1) + 1] * d[(b >> 1) + 1];
    },
    "f64x2.div": lanes(d, 2, (a, b) => a / b),
    "f64x2.max": lanes(d, 2, (a, b) => Math.max(a, b)),
    "f64x2.pmax": pmax(d),
  };
}
