/**
 * Writes FEATURES.md: which passes of which operations each tier runs, in which data types, and which
 * functions and layers there are. It asks the code itself, so that nothing else need be kept up to date.
 *
 *   deno task features [--check]
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { MapShape } from "../kernels/map.ts";
import * as operations from "../kernels/operations.ts";
import { averagePoolShape, convShape, convTransposeShape, poolShape } from "../kernels/shape.ts";
import type { DType } from "../kernels/tensor.ts";
import { ask, type Offers, type Operation, type ShapeOf } from "../kernels/tier.ts";
import * as library from "../mod.ts";
import { LAYERS } from "../nn/nets/net.ts";
import { markdownTable } from "./markdown.ts";
import { flag, runCommand, type Values } from "./options.ts";

/** A geometry, and what FEATURES.md calls it. */
type Example<O extends Operation> = readonly [name: string, shape: ShapeOf<O>];

const x = [1, 16, 32, 32], w = (size: number) => [16, 16, size, size];
const pool = { poolHeight: 2, poolWidth: 2, stride: 2 };

/** Every map of kernels/maps/. */
async function maps(): Promise<Example<"map">[]> {
  const folder = new URL("../kernels/maps/", import.meta.url);
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  const modules = await Promise.all(files.map((name) => import(new URL(name, folder).href)));
  return modules.flatMap((module) =>
    Object.entries<MapShape>(module).filter(([, value]) =>
      typeof value === "object" && "map" in value
    )
  );
}

/** Geometries of each operation: those for which tiers may differ. */
const examples: { readonly [O in Operation]: readonly Example<O>[] } = {
  conv: [
    ["1x1", convShape(x, w(1), {})],
    ["3x3", convShape(x, w(3), { pad: 1 })],
    ["3x3, stride 2", convShape(x, w(3), { stride: 2, pad: 1 })],
    ["5x5", convShape(x, w(5), { pad: 2 })],
    ["7x7, stride 2", convShape(x, w(7), { stride: 2, pad: 3 })],
    ["3x5", convShape(x, [16, 16, 3, 5], { pad: [1, 2] })],
    ["11x11, stride 4", convShape(x, w(11), { stride: 4, pad: 2 })],
    ["3x3, dilation 2", convShape(x, w(3), { pad: 2, dilation: 2 })],
    ["3x3, 4 groups", convShape(x, [16, 4, 3, 3], { pad: 1, groups: 4 })],
    ["3x3, depthwise", convShape(x, [16, 1, 3, 3], { pad: 1, groups: 16 })],
    ["transposed 4x4, stride 2", convTransposeShape(x, w(4), { stride: 2, pad: 1 })],
    ["sequence of 32, 1x3", convShape([1, 16, 1, 32], [16, 16, 1, 3], { pad: [0, 1] })],
  ],
  maxPool: [
    ["2x2, stride 2", poolShape(x, pool)],
    ["3x3, stride 2, pad 1", poolShape(x, { poolHeight: 3, poolWidth: 3, stride: 2, pad: 1 })],
    [
      "3x3, stride 2, ceil mode",
      poolShape(x, { poolHeight: 3, poolWidth: 3, stride: 2, ceilMode: true }),
    ],
    ["2x2, dilation 2", poolShape(x, { ...pool, dilation: 2 })],
  ],
  averagePool: [
    ["2x2, stride 2", averagePoolShape(x, pool)],
    [
      "3x3, stride 2, pad 1",
      averagePoolShape(x, { poolHeight: 3, poolWidth: 3, stride: 2, pad: 1 }),
    ],
    [
      "3x3, stride 2, pad 1, padding not counted",
      averagePoolShape(x, {
        poolHeight: 3,
        poolWidth: 3,
        stride: 2,
        pad: 1,
        countIncludePad: false,
      }),
    ],
  ],
  affine: [["512 to 100", { D: 512, M: 100 }]],
  norm: [["planes of 1024", { P: 1024 }]],
  map: await maps(),
};

const dtypes: readonly DType[] = ["float64", "float32"];
const tiers = ["simd", "generated", "naive"] as const;

/** The passes of a kernel, as the public functions call them. */
const passes: Readonly<Record<string, string>> = {
  forward: "forward",
  backward: "dx",
  backwardData: "dx",
  backwardWeights: "dw, db",
  scale: "forward",
  gradient: "dx",
  run: "whole",
};

/** One row for each pass of a geometry: the data types that each tier runs it in. */
function kernelRows<O extends Operation>(offers: Offers<O>): string[][] {
  return examples[offers.operation].flatMap(([name, shape]) => {
    const served = new Map<string, Record<string, DType[]>>();
    for (const tier of tiers) {
      for (const dtype of dtypes) {
        const { kernel } = ask<O>(offers[tier], shape, dtype);
        for (const method in passes) {
          if (kernel === undefined || !(method in kernel)) continue;
          const row = served.get(passes[method]) ?? {};
          (row[tier] ??= []).push(dtype);
          served.set(passes[method], row);
        }
      }
    }
    return [...served].map(([pass, row]) => [
      ...[`\`${offers.operation}\``, name, pass],
      ...tiers.map((tier) => row[tier]?.join(", ") ?? "-"),
    ]);
  });
}

/** What the library exports, by name. */
const exported: Readonly<Record<string, unknown>> = library;

const code = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(", ") || "-";

/** Exported names that begin and end with given words. */
function named(start: string, end: string): string[] {
  return Object.keys(exported).filter((name) => name.startsWith(start) && name.endsWith(end));
}

/** One row for each forward function. */
function functionRows(): string[][] {
  return named("", "Forward").map((forward) => {
    const stem = forward.slice(0, -"Forward".length);
    const own = (suffix: string) => named(`${stem}${suffix}`, suffix);
    return [
      code([forward]),
      code([...own("Backward"), ...own("BackwardAlt")]),
      code([...own("ForwardNaive"), ...own("BackwardNaive")]),
    ];
  });
}

/** The text of FEATURES.md, before it is formatted. */
export function features(): string {
  const kernels = Object.values(operations).flatMap((offers) =>
    kernelRows(offers as Offers<never>)
  );
  return `# Features

\`deno task features\` writes this file from the code.

## Kernels

The data types in which each tier runs a pass of a geometry, on a host with WebAssembly. The first
tier that has one runs it, from left to right. \`explainConv\` and its like answer for other geometries.

${markdownTable([["Operation", "Geometry", "Pass", ...tiers], ...kernels])}

## Functions

All take float64 and float32, one type in a call. Naive forms are the definitions.

${markdownTable([["Forward", "Backward", "Naive"], ...functionRows()])}

Losses: ${code(named("", "Loss"))}. Update rules: ${code(Object.keys(library.updateRules))}.

## Layers of a net

They train in both data types, nest, and go into descriptions as JSON: ${code(Object.keys(LAYERS))}.

Nets: ${code(named("", "Net"))}.
`;
}

/** A Markdown text as deno fmt writes it. */
async function formatted(text: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext=md", "--line-width=100", "-"],
    ...{ stdin: "piped", stdout: "piped" } as const,
  }).spawn();
  await new Response(text).body!.pipeTo(child.stdin);
  const { success, stdout } = await child.output();
  if (!success) throw new Error("deno fmt failed");
  return new TextDecoder().decode(stdout);
}

const options = {
  check: flag("write nothing, but fail if FEATURES.md is not what would be written"),
};
const about = "Writes FEATURES.md from the code.";

async function main({ check }: Values<typeof options>): Promise<number> {
  const path = fileURLToPath(new URL("../FEATURES.md", import.meta.url));
  const text = await formatted(features());
  if (!check) await Deno.writeTextFile(path, text);
  else if (await Deno.readTextFile(path) !== text) {
    console.error('FEATURES.md is not what the code says. Run "deno task features".');
    return 1;
  }
  return 0;
}

if (import.meta.main) await runCommand({ usage: "deno task features", about, options }, main);
