/**
 * The layers that the page offers, with the numbers that one can set. A layer stays what the library
 * calls its description: the name of its function and what that is called with.
 *
 * @module
 */

import type { LayerDescription } from "../../mod.ts";

/** A number or a word of a layer that can be set. */
export interface Field {
  readonly name: string;
  readonly label: string;
  /** What it starts with, and what it is if a description leaves it out. */
  readonly value: number | string;
  /** The words that it may be; a number if there are none. */
  readonly choices?: Readonly<Record<string, string>>;
  readonly min?: number;
  readonly max?: number;
  readonly step?: number;
}

/** What the fields of a layer hold. */
export type Values = Readonly<Record<string, number | string>>;

/** A kind of layer. */
export interface Kind {
  readonly type: string;
  readonly label: string;
  readonly fields: readonly Field[];
  /** The fields' values; undefined if a description has more to it than the fields hold. */
  read(args: readonly unknown[]): Values | undefined;
  write(values: Values): readonly unknown[];
}

const whole = (name: string, label: string, value: number, max: number): Field => {
  return { name, label, value, min: 1, max, step: 1 };
};

/** A kind whose function takes some values, and then an object of options. */
function kind(
  type: string,
  label: string,
  values: readonly Field[] = [],
  options: readonly Field[] = [],
): Kind {
  const fields = [...values, ...options];
  return {
    type,
    label,
    fields,
    read(args) {
      const last = args[values.length] ?? {};
      if (args.length > values.length + 1 || typeof last !== "object") return undefined;
      const given = last as Record<string, unknown>;
      const isKnown = Object.keys(given).every((name) => options.some((o) => o.name === name));
      const found = fields.map(({ name, value }, i) => {
        return [name, (i < values.length ? args[i] : given[name]) ?? value] as const;
      });
      const isPlain = found.every(([, v], i) => typeof v === typeof fields[i].value);
      return isKnown && isPlain ? Object.fromEntries(found) as Values : undefined;
    },
    write(set) {
      const own = options.filter(({ name, value }) => set[name] !== value);
      const chosen = Object.fromEntries(own.map(({ name }) => [name, set[name]]));
      const args = values.map(({ name }) => set[name]);
      return own.length === 0 ? args : [...args, chosen];
    },
  };
}

const KERNEL = whole("kernel", "kernel", 3, 11), STRIDE = whole("stride", "stride", 1, 8);
const PAD: Field = {
  name: "pad",
  label: "padding",
  value: "half",
  choices: { half: "half", valid: "none" },
};

const conv = kind("conv", "Convolution", [whole("filters", "filters", 8, 512)], [
  ...[KERNEL, STRIDE, PAD],
]);

/** Two convolutions with batch normalization, whose result is added to their input. */
const residual: Kind = {
  type: "residual",
  label: "Residual block",
  fields: [whole("filters", "filters", 16, 512)],
  read: (args) => {
    const [branch] = args as readonly LayerDescription[];
    const filters = (branch?.args?.[0] as LayerDescription | undefined)?.args?.[0];
    if (typeof filters !== "number") return undefined;
    const isSame = JSON.stringify(args) === JSON.stringify(residual.write({ filters }));
    return isSame ? { filters } : undefined;
  },
  write: ({ filters }) => {
    const half = [
      { type: "conv", args: [filters, { bias: false }] },
      { type: "batchnorm", args: [] },
    ];
    return [{ type: "sequential", args: [...half, { type: "relu", args: [] }, ...half] }];
  },
};

/** The kinds, in the order in which they are offered. */
export const KINDS: readonly Kind[] = [
  conv,
  kind("relu", "ReLU"),
  kind("maxPool", "Max pool", [whole("size", "size", 2, 8)]),
  kind("affine", "Fully connected", [whole("units", "neurons", 100, 4096)]),
  kind("batchnorm", "Batch normalization"),
  kind("dropout", "Dropout", [
    { name: "p", label: "keep", value: 0.5, min: 0.05, max: 1, step: 0.05 },
  ]),
  residual,
  kind("averagePool", "Average pool", [whole("size", "size", 2, 8)]),
  kind("globalAverage", "Global average"),
  kind("globalMax", "Global max"),
  kind("depthwiseConv", "Depthwise convolution", [], [KERNEL, STRIDE]),
  kind("gelu", "GELU"),
  kind("leakyRelu", "Leaky ReLU", [
    { name: "a", label: "slope", value: 0.01, min: 0, max: 1, step: 0.01 },
  ]),
  kind("sigmoid", "Sigmoid"),
  kind("tanh", "Tanh"),
  kind("layernorm", "Layer normalization"),
  kind("groupnorm", "Group normalization", [whole("groups", "groups", 4, 64)]),
];

/** The kind of a layer; undefined for one that the page does not offer. */
export function kindOf({ type }: LayerDescription): Kind | undefined {
  return KINDS.find((kind) => kind.type === type);
}

/** What a layer is called. */
export function labelOf(layer: LayerDescription): string {
  return kindOf(layer)?.label ?? layer.type;
}

/** A new layer of a kind. */
export function layerOfKind({ type, fields, write }: Kind): LayerDescription {
  return { type, args: write(Object.fromEntries(fields.map(({ name, value }) => [name, value]))) };
}
