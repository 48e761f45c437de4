/**
 * Nets to begin with.
 *
 * @module
 */

import type { LayerDescription } from "../../mod.ts";

const layer = (type: string, ...args: readonly unknown[]): LayerDescription => ({ type, args });

const unit = (filters: number, ...rest: readonly LayerDescription[]) => [
  layer("conv", filters),
  layer("batchnorm"),
  layer("relu"),
  ...rest,
];

const block = (filters: number) =>
  layer(
    "residual",
    layer(
      "sequential",
      ...[layer("conv", filters, { bias: false }), layer("batchnorm"), layer("relu")],
      ...[layer("conv", filters, { bias: false }), layer("batchnorm")],
    ),
  );

/** The layers of nets by name, without the last one, which gives the scores. */
export const PRESETS: Readonly<Record<string, readonly LayerDescription[]>> = {
  "Three layers": [
    ...[layer("conv", 8, { kernel: 5 }), layer("relu"), layer("maxPool", 2)],
    ...[layer("affine", 100), layer("relu")],
  ],
  "Linear": [],
  "Two hidden layers": [
    ...[layer("affine", 100), layer("relu"), layer("affine", 100), layer("relu")],
  ],
  "Deeper, with batch normalization": [
    ...unit(16, layer("maxPool", 2)),
    ...unit(32, layer("maxPool", 2)),
    ...unit(64, layer("globalAverage")),
  ],
  "Residual": [
    ...unit(16, layer("maxPool", 2)),
    ...[block(16), layer("relu"), layer("maxPool", 2)],
    ...[...unit(32), block(32), layer("relu"), layer("globalAverage")],
  ],
};

/** The net that the page opens with. */
export const FIRST_PRESET = "Three layers";
