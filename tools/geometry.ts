/**
 * The geometry of an operation, from the options of a command line: `--x 3,31,31 --w 25,3,3,3 --stride 2`.
 *
 * @module
 */

import { averagePoolShape, convShape, poolShape } from "../kernels/shape.ts";
import { sizeOf } from "../kernels/tensor.ts";
import type { Geometry } from "./modules.ts";
import { InputError, orRefused, sizes, type Values, whole } from "./options.ts";

/** The most that one size may be. */
const MOST = 65_536;

/** The options, for a command to add to its own. */
export const geometryOptions = {
  x: sizes(["C,H,W", "N,C,H,W"], MOST, "input"),
  w: sizes(["F,C/groups,KH,KW"], MOST, "filters of a convolution"),
  pool: sizes(["KH,KW"], MOST, "window of a max-pool, in place of filters"),
  average: sizes(["KH,KW"], MOST, "window of an average pool, in place of filters"),
  stride: sizes(["S", "vertical,horizontal"], MOST, "step between windows (default: 1)"),
  pad: sizes(["P", "vertical,horizontal", "top,left,bottom,right"], MOST, "padding (default: 0)"),
  dilation: sizes(["D", "vertical,horizontal"], MOST, "step between taps (default: 1)"),
  groups: whole<number | undefined>(undefined, [1, MOST], "groups of channels (default: 1)"),
};

/** A step or padding as the layers take it: one number, or a list. */
function steps<T>(list: readonly number[] | undefined): T | undefined {
  return (list?.length === 1 ? list[0] : list) as T | undefined;
}

/**
 * The geometry that options say.
 *
 * @param values The options.
 * @returns The operation and its geometry.
 * @throws {InputError} If an option is missing, is too much, or does not fit the others.
 */
export function geometryOf(values: Values<typeof geometryOptions>): Geometry {
  const { x, w, pool, average, groups } = values;
  if (x === undefined) throw new InputError("--x C,H,W is missing");
  if ([w, pool, average].filter((window) => window !== undefined).length !== 1) {
    throw new InputError("give one of --w F,C/groups,KH,KW, --pool KH,KW and --average KH,KW");
  }
  if (w === undefined && groups !== undefined) throw new InputError("--groups is for convolutions");
  if (average !== undefined && values.dilation !== undefined) {
    throw new InputError("--dilation is for convolutions and max-pools");
  }
  return checkIndices(orRefused(() => shapeOf(values)));
}

function shapeOf({ x = [], w, pool, average, ...given }: Values<typeof geometryOptions>): Geometry {
  const xShape = x.length === 3 ? [1, ...x] : x;
  const stride = steps<number>(given.stride) ?? 1, pad = steps<number>(given.pad);
  const dilation = steps<number>(given.dilation);
  if (w !== undefined) {
    const params = { stride, pad, dilation, groups: given.groups };
    return { operation: "conv", shape: convShape(xShape, w, params) };
  }
  const [poolHeight, poolWidth] = pool ?? average!;
  const params = { poolHeight, poolWidth, stride, pad };
  return pool === undefined
    ? { operation: "averagePool", shape: averagePoolShape(xShape, params) }
    : { operation: "maxPool", shape: poolShape(xShape, { ...params, dilation }) };
}

/** Kernels count in int32. */
function checkIndices(geometry: Geometry): Geometry {
  const { C, H, W, OH, OW } = geometry.shape;
  const shapes = [[C, H, W], [C, OH, OW]];
  if (geometry.operation === "conv") {
    const { F, groups, KH, KW } = geometry.shape;
    shapes.push([F, C / groups, KH, KW], [F, OH, OW]);
  }
  const large = shapes.find((shape) => sizeOf(shape) >= 2 ** 31);
  if (large === undefined) return geometry;
  throw new InputError(`an array must have fewer than 2^31 numbers: [${large}] has more`);
}
