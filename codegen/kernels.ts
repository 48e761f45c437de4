/**
 * Schedule -> source: the functions of one kernel, the constant that holds them, and how it was made.
 *
 * @module
 */

import type { FunctionDeclarationStructure, StatementStructures } from "ts-morph";
import {
  convLabel,
  type ConvShape,
  type Family,
  familyLabel,
  poolLabel,
  type PoolShape,
} from "../kernels/shape.ts";
import { convStage, isDepthwise, poolStage } from "../kernels/generated/staging.ts";
import { convFamilyLabel } from "./configs.ts";
import { accumulateFunction, correlateFunction, multiplyAdds } from "./conv.ts";
import { knownSizes, runtimeSizes, type SizeExprs } from "./expr.ts";
import {
  averageBackwardFunction,
  averageForwardFunction,
  poolBackwardFunction,
  poolForwardFunction,
  runtimePoolSizes,
} from "./pool.ts";
import {
  type AccumulateSchedule,
  averagePoolSchedule,
  convSchedule,
  type ConvWindow,
  type CorrelateSchedule,
  poolSchedule,
} from "./schedule.ts";

/** The types of generated kernels, and the words that their names start with. */
const kinds = {
  GeneratedConv: "conv",
  GeneratedPool: "maxpool",
  GeneratedAveragePool: "averagepool",
} as const;

/** The source of one kernel. */
export interface KernelSource {
  /** The constant that is exported. */
  readonly constant: string;
  /** Its type. */
  readonly type: keyof typeof kinds;
  /** The statements of the file. */
  readonly statements: readonly (StatementStructures | string)[];
  /** The types that they need. */
  readonly types: readonly string[];
}

/** A function, and its schedule in words. */
interface PassSource {
  readonly source: FunctionDeclarationStructure;
  readonly schedule: string;
}

/** A documentation comment of one line or more. */
function docComment(lines: readonly string[]): string {
  if (lines.length === 1) return `/** ${lines[0]} */`;
  return ["/**", ...lines.map((line) => ` * ${line}`.trimEnd()), " */"].join("\n");
}

/** `export const name: type = { … };`, written as text: ts-morph indents initializers further. */
export function constant(
  name: string,
  type: string,
  doc: readonly string[],
  lines: readonly string[],
): string {
  const [open, close] = type.endsWith("[]") ? ["[", "]"] : ["{", "}"];
  const body = lines.length === 0 ? "" : `\n${lines.map((line) => `  ${line},\n`).join("")}`;
  return `\n${docComment(doc)}\nexport const ${name}: ${type} = ${open}${body}${close};\n`;
}

/** A kernel of functions that are named after their passes and its shape. */
function kernelSource(
  type: keyof typeof kinds,
  label: string,
  row: string | undefined,
  sizes: "PassSizes" | "PoolSizes" | undefined,
  functions: (suffix: string) => Record<string, PassSource>,
): KernelSource {
  const name = `${kinds[type]}-${label}-generated`;
  const suffix = label.replaceAll("-", "_");
  const passes = Object.entries(functions(suffix));
  const id = `${kinds[type]}_${suffix}`;
  const doc = [
    `The kernel ${name}.`,
    "",
    ...(row === undefined ? [] : [`- row: ${row}`]),
    ...passes.map(([pass, { schedule }]) => `- ${pass}: ${schedule}`),
  ];
  const members = [
    `name: "${name}"`,
    ...passes.map(([pass, { source }]) => `${pass}: ${source.name}`),
  ];
  return {
    constant: id,
    type,
    statements: [...passes.map(([, { source }]) => source), constant(id, type, doc, members)],
    types: [type, "Numbers", ...(sizes === undefined ? [] : [sizes])],
  };
}

/** The kernel of an exact convolution, which may be the row of a table. */
export function exactConv(shape: ConvShape, row?: string): KernelSource {
  const depthwise = isDepthwise(shape);
  const { forward, backwardData } = convStage(shape, depthwise);
  const sizes = { forward: knownSizes(forward), backwardData: knownSizes(backwardData) };
  return convSource(convLabel(shape), row, { ...shape, depthwise }, sizes);
}

/** The kernel of a family of convolutions. */
export function familyConv(window: ConvWindow, row?: string): KernelSource {
  const sizes = runtimeSizes(window.depthwise);
  return convSource(convFamilyLabel(window), row, window, { forward: sizes, backwardData: sizes });
}

function convSource(
  label: string,
  row: string | undefined,
  window: ConvWindow,
  sizes: { readonly forward: SizeExprs; readonly backwardData: SizeExprs },
): KernelSource {
  const schedule = convSchedule(window);
  const { forward, backwardData } = sizes;
  return kernelSource(
    "GeneratedConv",
    label,
    row,
    forward.known ? undefined : "PassSizes",
    (suffix) => ({
      forward: {
        source: accumulateFunction(
          `forward_${suffix}`,
          `y (${planesLabel(forward, "outputs", "y")}) += ` +
            `x (${planesLabel(forward, "inputs", "x")}, padded) convolved with w.`,
          schedule.forward,
          forward,
        ),
        schedule: scheduleLabel(schedule.forward, forward),
      },
      backwardData: {
        source: accumulateFunction(
          `backwardData_${suffix}`,
          `y (the gradient of x) += x (the gradient of y, in a border of zeros) spread by w.`,
          schedule.backwardData,
          backwardData,
        ),
        schedule: scheduleLabel(schedule.backwardData, backwardData),
      },
      backwardWeights: {
        source: correlateFunction(
          `backwardWeights_${suffix}`,
          `dw += x (padded) correlated with y (its own gradient).`,
          schedule.backwardWeights,
          forward,
        ),
        schedule: scheduleLabel(schedule.backwardWeights, forward),
      },
    }),
  );
}

/** `25 x 16 x 16`, or `planes` where sizes are known at run time only. */
function planesLabel(sizes: SizeExprs, count: "inputs" | "outputs", array: "x" | "y"): string {
  if (!sizes.known) return "planes";
  const plane = Number(sizes[`${array}Plane`]), pitch = Number(sizes[`${array}Pitch`]);
  return `${sizes[count]} x ${plane / pitch} x ${pitch}`;
}

/** What a pass keeps in registers, its register tile, and what V8 must compile. */
function scheduleLabel(pass: AccumulateSchedule | CorrelateSchedule, sizes: SizeExprs): string {
  const { KH, KW, tile, inputs, outputs } = pass;
  const isAll = "terms" in pass && pass.taps === "all";
  const what = "terms" in pass ? "weights" : "sums";
  const resident = inputs * outputs * (isAll ? KH * KW : KW);
  return [
    `${resident} ${what} in registers${isAll || KH === 1 ? "" : " (a row of taps)"}`,
    `${tile} ${tile === 1 ? "position" : "positions"} at a time`,
    `${multiplyAdds(pass, sizes)} multiply-adds`,
  ].join("; ");
}

/** A family of pools, or an exact plane. */
type PoolWindow = PoolShape | Family;

const isExact = (of: PoolWindow): of is PoolShape => "OH" in of;

const poolSizes = (of: PoolWindow) => isExact(of) ? poolStage(of).sizes : runtimePoolSizes;

/** The kernel of a max-pool. */
export function maxPool(of: PoolWindow, row?: string): KernelSource {
  const schedule = poolSchedule(of), sizes = poolSizes(of);
  const label = isExact(of) ? poolLabel(of) : familyLabel(of);
  const words = `1 window at a time; ${schedule.matches.length} comparisons without a branch`;
  return kernelSource("GeneratedPool", label, row, "PoolSizes", (suffix) => ({
    forward: {
      source: poolForwardFunction(
        `forward_${suffix}`,
        "y = the first maximum of each window of x (with its border); a NaN wins.",
        schedule,
        sizes,
      ),
      schedule: words,
    },
    backward: {
      source: poolBackwardFunction(
        `backward_${suffix}`,
        "dx += dy, each value at the maximum of its window of x.",
        schedule,
        sizes,
      ),
      schedule: words,
    },
  }));
}

/** The kernel of an average pool. */
export function averagePool(of: PoolWindow, row?: string): KernelSource {
  const schedule = averagePoolSchedule(of), sizes = poolSizes(of);
  const label = isExact(of) ? poolLabel(of) : familyLabel(of);
  const words = `1 window at a time; ${schedule.places.length} additions`;
  return kernelSource("GeneratedAveragePool", label, row, "PoolSizes", (suffix) => ({
    forward: {
      source: averageForwardFunction(
        `averageForward_${suffix}`,
        "y = the average of each window of x (with its border).",
        schedule,
        sizes,
      ),
      schedule: words,
    },
    backward: {
      source: averageBackwardFunction(
        `averageBackward_${suffix}`,
        "dx += dy, each value shared out over its window of x.",
        schedule,
        sizes,
      ),
      schedule: words,
    },
  }));
}
