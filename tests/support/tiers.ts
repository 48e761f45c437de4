/**
 * Runs layers by every tier and compares them with the naive loops: in any host, on a bundle of mod.ts.
 *
 * @module
 */

import type { DType, FloatArray, KernelChoice, Tensor, Tier } from "../../mod.ts";

/** One layer by one tier. */
export interface TierReport {
  /** The layer's sizes and dtype. */
  readonly layer: string;
  /** The tier that was asked for. */
  readonly asked: KernelChoice;
  /** The kernel that ran, and its tier; a fully-connected layer does not say. */
  readonly name?: string;
  readonly tier?: Tier;
  readonly reason?: string;
  /** The first number that differs from the naive loops'; undefined if all are equal. */
  readonly difference?: string;
}

type Library = typeof import("../../mod.ts");
type Arrays = Readonly<Record<string, FloatArray>>;

interface Layer {
  readonly label: string;
  readonly explain?: () => { readonly name: string; readonly tier: Tier; readonly reason: string };
  readonly run: () => Arrays;
}

/** Layers on whole numbers, on which every tier must agree to the last bit. */
function layersOf(lib: Library, dtype: DType): Layer[] {
  const random = new lib.RandomState(231);
  const whole = (shape: readonly number[]): Tensor => {
    const { data } = random.randn(shape, dtype);
    return lib.tensor(data.map((value) => Math.round(2 * value)), shape);
  };
  const layers: Layer[] = [];
  const convs = [
    { x: [2, 3, 31, 31], w: [25, 3, 3, 3], stride: 2, pad: 1 },
    { x: [2, 8, 16, 16], w: [8, 8, 3, 3], stride: 1, pad: 1 },
    { x: [1, 2, 9, 11], w: [3, 2, 5, 5], stride: 1, pad: 2 },
    { x: [2, 4, 6, 5], w: [6, 4, 1, 1], stride: 1, pad: 0 },
  ];
  for (const { x: xShape, w: wShape, stride, pad } of convs) {
    const x = whole(xShape), w = whole(wShape), b = whole([wShape[0]]);
    const convParam = { stride, pad };
    layers.push({
      label: `conv ${xShape} ${wShape} s${stride}p${pad} ${dtype}`,
      explain: () => lib.explainConv(xShape, wShape, convParam, dtype),
      run: () => {
        const { out, cache } = lib.convForward(x, w, b, convParam);
        const { dx, dw, db } = lib.convBackward(out, cache);
        return { out: out.data, dx: dx.data, dw: dw.data, db: db.data };
      },
    });
  }
  for (const [size, stride, pad] of [[2, 2, 0], [3, 2, 1], [3, 1, 0], [3, 3, 0]]) {
    const shape = [2, 3, 14, 13];
    const x = whole(shape);
    const poolParam = { poolHeight: size, poolWidth: size, stride, pad };
    layers.push({
      label: `pool ${shape} ${size}x${size} s${stride}p${pad} ${dtype}`,
      explain: () => lib.explainMaxPool(shape, poolParam, dtype),
      run: () => {
        const { out, cache } = lib.maxPoolForward(x, poolParam);
        return { out: out.data, dx: lib.maxPoolBackward(out, cache).data };
      },
    });
  }
  const x = whole([5, 3, 7]), w = whole([21, 10]), b = whole([10]);
  layers.push({
    label: `affine 5 x 21 x 10 ${dtype}`,
    run: () => {
      const { out, cache } = lib.affineForward(x, w, b);
      const { dx, dw, db } = lib.affineBackward(out, cache);
      return { out: out.data, dx: dx.data, dw: dw.data, db: db.data };
    },
  });
  return layers;
}

/** What a function gives while a choice of kernels is in force. */
function by<T>(lib: Library, kernels: KernelChoice, f: () => T): T {
  const choice = lib.useKernels(kernels);
  try {
    return f();
  } finally {
    choice[Symbol.dispose]();
  }
}

function firstDifference(actual: Arrays, expected: Arrays): string | undefined {
  for (const [name, numbers] of Object.entries(expected)) {
    if (actual[name].length !== numbers.length) return `${name} has ${actual[name].length} numbers`;
    const at = numbers.findIndex((number, i) => !Object.is(number, actual[name][i]));
    if (at >= 0) return `${name}[${at}] is ${actual[name][at]}, not ${numbers[at]}`;
  }
  return undefined;
}

/** Every layer by every tier, in both dtypes. */
export function reportTiers(lib: Library): TierReport[] {
  return (["float32", "float64"] as const).flatMap((dtype) =>
    layersOf(lib, dtype).flatMap(({ label, explain, run }) => {
      const expected = by(lib, "naive", run);
      return (["auto", "simd", "generated", "naive"] as const).map((asked) => {
        const { name, tier, reason } = by(lib, asked, () => explain?.()) ?? {};
        const difference = firstDifference(by(lib, asked, run), expected);
        return { layer: label, asked, name, tier, reason, difference };
      });
    })
  );
}
