/**
 * Expressions of the generated code: sums and products of numbers and names, simplified.
 *
 * A size is a number where the configuration fixes it, and a name where it is known at run time.
 *
 * @module
 */

import type { CodeBlockWriter } from "ts-morph";
import type { PassSizes } from "../kernels/generated/kernel.ts";
import { MAX_NUMBERS } from "../kernels/generated/staging.ts";
import type { Place } from "./schedule.ts";

/** A number known now, or the code that computes it at run time. */
export type Expr = number | string;

/** A place in one of the planes that are taken at a time. */
export interface PlanePlace extends Place {
  /** Planes further on. */
  readonly plane: number;
}

/** The sizes of a pass as expressions: all numbers, or all names. */
export interface SizeExprs extends Readonly<Record<keyof PassSizes, Expr>> {
  /** Whether they are numbers. */
  readonly known: boolean;
  /** Writes the line that gives the names their values; nothing for numbers. */
  declare(writer: CodeBlockWriter): void;
}

/** Sizes that the configuration fixes. */
export function knownSizes(sizes: PassSizes): SizeExprs {
  return { ...sizes, known: true, declare: () => {} };
}

/** Sizes that a family takes at run time; a depthwise one has no need of some. */
export function runtimeSizes(depthwise = false): SizeExprs {
  const names = {
    inputs: "inputs",
    outputs: "outputs",
    rows: "rows",
    cols: "cols",
    xPitch: "xPitch",
    xPlane: "xPlane",
    yPitch: "yPitch",
    yPlane: "yPlane",
    wInput: "wInput",
    wOutput: "wOutput",
  } satisfies Record<keyof PassSizes, string>;
  return {
    ...names,
    known: false,
    declare: (writer) => {
      const idle = depthwise ? ["inputs", "wInput"] : [];
      const list = Object.values(names).filter((name) => !idle.includes(name));
      const half = list.indexOf("xPitch");
      writer.writeLine(`const { ${list.slice(0, half).join(", ")} } = s;`);
      writer.writeLine(`const { ${list.slice(half).join(", ")} } = s;`);
    },
  };
}

/** a * b, simplified. */
export function times(a: Expr, b: Expr): Expr {
  if (typeof a === "number" && typeof b === "number") return a * b;
  if (a === 0 || b === 0) return 0;
  if (a === 1) return b;
  if (b === 1) return a;
  const factor = (t: Expr) => typeof t === "string" && /^[^(]*[ ]/.test(t) ? `(${t})` : t;
  return typeof a === "number" ? `${factor(b)} * ${a}` : `${factor(a)} * ${factor(b)}`;
}

/** The sum of the terms, without zeros, numbers added up. */
export function sum(...terms: Expr[]): Expr {
  let constant = 0;
  const names: string[] = [];
  for (const term of terms) {
    if (typeof term === "number") constant += term;
    else names.push(term);
  }
  if (names.length === 0) return constant;
  return [...names, ...(constant === 0 ? [] : [`${constant}`])].join(" + ");
}

/** `i += step`, as short as it can be said. */
export function advance(variable: string, step: number): string {
  return step === 1 ? `${variable}++` : `${variable} += ${step}`;
}

/** `i = (i + step) & …`: an index variable's next value. */
export function advanceIndex(variable: string, step: number): string {
  return `${variable} = ${index(`${variable} + ${step}`)}`;
}

/**
 * The value of an index variable. V8 does not know that an index and the sums made with it fit an int32,
 * and checks every addition for overflow; the mask of {@linkcode MAX_NUMBERS} tells it, and makes a kernel
 * 5 to 20 % faster.
 */
export function index(value: Expr): string {
  return typeof value === "number"
    ? `${value}`
    : `(${value}) & 0x${(MAX_NUMBERS - 1).toString(16)}`;
}

/** An index: a base variable and an offset. */
export function at(base: string, offset: Expr): string {
  return `${sum(base, offset)}`;
}

/**
 * How to index places of a plane from a base variable. Numbers fold into the index; where pitch and
 * plane are known at run time only, each row gets a variable of its own, declared here.
 */
export function declareRows(
  writer: CodeBlockWriter,
  base: string,
  places: readonly PlanePlace[],
  plane: Expr,
  pitch: Expr,
): (place: PlanePlace) => string {
  const rows = new Map<string, string>();
  const rowText = (p: PlanePlace) => sum(times(p.plane, plane), times(p.row, pitch));
  for (const place of places) {
    const text = rowText(place);
    if (typeof text === "number" || rows.has(text)) continue;
    const name = `${base}${place.plane || place.row}`;
    writer.writeLine(`const ${name} = ${index(`${base} + ${text}`)};`);
    rows.set(text, name);
  }
  return (place) => {
    const text = rowText(place);
    return typeof text === "number" ? at(base, text + place.col) : at(rows.get(text)!, place.col);
  };
}
