/**
 * The sections of the page that a report fills.
 *
 * @module
 */

import type { Axis, Pass } from "../../kernels/passes.ts";
import { type Content, el, table } from "./dom.ts";
import type { KernelReport, ModuleReport, ScheduleReport } from "./report.ts";
import { walkOf } from "./walk.ts";
import type { Direction } from "../../tools/modules.ts";

const number = (value: number) => value.toLocaleString("en");
const dims = (...sizes: readonly number[]) => sizes.join(" x ");
const code = (text: string) => el("code", {}, text);

/** Geometry: all sizes, from the shapes. */
export function geometry(
  { shape: s, images, multiplyAdds }: KernelReport,
): Content[] {
  const rows: readonly (readonly [string, Content])[] = [
    ["x", `${number(images)} x ${dims(s.C, s.H, s.W)}`],
    ["w", `${dims(s.F, s.C / s.groups, s.KH, s.KW)}`],
    ["out", `${number(images)} x ${dims(s.F, s.OH, s.OW)}`],
    ["stride", dims(s.strideY, s.strideX)],
    [
      "pad",
      `top ${s.padTop}, left ${s.padLeft}, bottom ${s.padBottom}, right ${s.padRight}`,
    ],
    ["dilation", dims(s.dilationY, s.dilationX)],
    [
      "groups",
      `${s.groups}, of ${s.C / s.groups} channels and ${s.F / s.groups} filters`,
    ],
    ["multiply-adds of an image", number(multiplyAdds)],
    ["of the call", number(multiplyAdds * images)],
  ];
  return [table("Geometry", ["Size", "Value"], rows)];
}

/** Passes: the walk of the asked direction along both axes. */
export function passes(
  { passes }: KernelReport,
  direction: Direction,
): Content[] {
  const pass = direction === "dx" ? passes.dx : passes.forward;
  const names = {
    forward: ["x", "out"],
    dx: ["dout", "dx"],
    dw: ["x", "dout"],
  } as const;
  const [source, target] = names[direction];
  const row = (
    name: string,
    of: (axis: Axis) => string,
  ) => [name, of(pass.rows), of(pass.columns)];
  const taps = (axis: Axis, of: "from" | "to") =>
    axis.taps.slice(0, 16).map((tap) => tap[of]).join(", ") +
    (axis.taps.length > 16 ? ", …" : "");
  const facts = table("The walk", ["Fact", "Rows", "Columns"], [
    row("positions", ({ positions }) => number(positions)),
    row(`steps in ${source}`, ({ sourceStep }) => `${sourceStep}`),
    row(`steps in ${target}`, ({ targetStep }) => `${targetStep}`),
    row(
      `${source}: size, first at, reach`,
      ({ source }) => `${source.size}, ${source.lead}, ${source.extent}`,
    ),
    row(
      `${target}: size, first at, reach`,
      ({ target }) => `${target.size}, ${target.lead}, ${target.extent}`,
    ),
    row("taps read at", (axis) => taps(axis, "from")),
    row("taps write at", (axis) => taps(axis, "to")),
  ]);
  return [
    walkOf(pass.columns, names[direction]),
    facts,
    planesOf(pass, direction),
  ];
}

function planesOf({ groups, inputs, outputs }: Pass, direction: Direction): HTMLElement {
  const what = direction === "dw"
    ? `Each of ${inputs} x ${outputs} pairs of planes has sums of its own, over all positions`
    : `Each of ${outputs} planes that are written sums what ${inputs} planes give`;
  return el("p", {}, `${what}${groups === 1 ? "" : `, in each of ${groups} groups`}.`);
}

/** Tiers: who answers, and why those before do not. */
export function tiers({ tiers, explanation }: KernelReport): Content[] {
  const rows = tiers.map(({ tier, name, reason }) => [
    tier,
    tier === explanation.tier ? el("strong", {}, "runs") : name === undefined ? "refuses" : "could",
    name === undefined ? "-" : code(name),
    reason,
  ]);
  return [
    table("The tiers in the order in which they are asked", [
      "Tier",
      "Answer",
      "Kernel",
      "Why",
    ], rows),
    el(
      "p",
      {},
      code("explainConv"),
      " says: ",
      code(explanation.name),
      ", ",
      explanation.reason,
      ".",
    ),
  ];
}

const ALGORITHMS = {
  direct: "direct sums, with vectors along a row",
  depthwise: "depthwise sums, a plane at a time",
  winograd: "Winograd's algorithm, by tiles of 2x2 outputs",
  batched: "images in the lanes of a vector",
  gemm: "a blocked product of matrices (im2col)",
} as const;

function plan(
  { schedule: { algorithm, batched, few, fewBy, fewPrepared }, direction }: ScheduleReport,
) {
  const isDirect = direction === "dw" && fewBy === undefined;
  const simpler = isDirect ? "direct sums" : "products of matrices";
  const images = (count: number) => count === 1 ? "an image" : `${count} images`;
  return [
    ALGORITHMS[algorithm],
    ...few === undefined ? [] : [`${simpler} up to ${images(few)}`],
    ...!fewPrepared || fewPrepared === few
      ? []
      : [`with packed weights up to ${images(fewPrepared)}`],
    ...batched === undefined ? [] : [`images in the lanes from ${images(batched)} on`],
  ].join("; ");
}

/** Schedules: how each pass runs, and what the algorithms are estimated to take. */
export function schedules({ schedules, images }: KernelReport): Content[] {
  if ("missing" in schedules) return [missing(schedules.missing)];
  const rows = schedules.map((each) => [
    each.direction,
    plan(each),
    each.estimates.map(({ algorithm, microseconds }) =>
      `${algorithm} ${number(Math.round(microseconds))}`
    ).join(", ") || "-",
  ]);
  const caption =
    `How each pass runs, and estimates for ${images} images in microseconds of one core`;
  return [table(caption, ["Pass", "Schedule", "Estimates"], rows)];
}

/** Lines of a text that are shown at first. */
const LINES = 4000;

/** A long text, which scrolls in a box of its own. */
function listing(name: string, text: string): HTMLElement {
  const lines = text.split("\n"), isLong = lines.length > LINES;
  const shown = el(
    "code",
    {},
    isLong ? lines.slice(0, LINES).join("\n") : text,
  );
  const box = el(
    "pre",
    { tabindex: "0", role: "region", "aria-label": name },
    shown,
  );
  if (!isLong) return box;
  const rest = number(lines.length - LINES);
  const more = el("button", { type: "button" }, `Show ${rest} more lines`);
  more.addEventListener("click", () => {
    shown.textContent = text;
    more.remove();
  });
  return el("div", {}, box, more);
}

/** The generated kernel of exactly this shape. */
export function typescript({ typescript, tiers }: KernelReport): Content[] {
  if ("missing" in typescript) return [missing(typescript.missing)];
  const generated = tiers.find(({ tier }) => tier === "generated");
  const isThere = generated?.name !== undefined;
  const words = isThere
    ? `The library has a kernel for this shape: it is ${generated.reason}.`
    : "The library has none for this shape: the command in the first lines writes it.";
  return [el("p", {}, words), listing("Generated TypeScript", typescript.text)];
}

/** The modules that a call compiles. */
export function wasm(
  { wasm, images }: KernelReport,
  direction: Direction,
): Content[] {
  if ("missing" in wasm) return [missing(wasm.missing)];
  const { modules } = wasm,
    bytes = modules.reduce((sum, module) => sum + module.bytes, 0);
  const less = wasm.images < images
    ? `, of ${wasm.images} images here, as more are too much for a page`
    : "";
  return [
    el(
      "p",
      {},
      `A call of ${direction}${less} compiles ${modules.length} ` +
        `${modules.length === 1 ? "module" : "modules"} of ${number(bytes)} bytes in all.`,
    ),
    ...modules.map((module, i) => moduleOf(module, i, modules.length)),
  ];
}

function moduleOf(
  { bytes, text }: ModuleReport,
  i: number,
  count: number,
): HTMLElement {
  const name = `Module ${i + 1} of ${count}`;
  const functions = [...text.matchAll(/\(export "([^"]+)"\)/g)].map((
    [, name],
  ) => name);
  return el(
    "details",
    i === 0 ? { open: "" } : {},
    el(
      "summary",
      {},
      `${name}, ${number(bytes)} bytes: `,
      code(functions.join(", ")),
    ),
    listing(`${name} as text`, text),
  );
}

function missing(why: string): HTMLElement {
  return el("p", { class: "note" }, why);
}
