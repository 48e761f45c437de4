/**
 * Schedule -> ts-morph structures: the functions of a pool's kernel.
 *
 * A max-pool's match between two numbers is decided without a branch, because on real data the processor cannot
 * foresee who wins: `!(first >= second)` is true if the second is larger or either is NaN, and
 * `first === first` keeps a NaN that stands first. The winner's index follows by arithmetic.
 *
 * @module
 */

import type { CodeBlockWriter, FunctionDeclarationStructure } from "ts-morph";
import { StructureKind } from "ts-morph";
import type { AveragePoolSchedule, Place, PoolSchedule, Step } from "./schedule.ts";
import { advanceIndex, at, declareRows, type Expr, index, sum, times } from "./expr.ts";

/** The sizes of a pool as expressions: numbers where the configuration fixes them, names otherwise. */
export interface PoolSizeExprs {
  /** Height of the output. */
  readonly rows: Expr;
  /** Width of the output. */
  readonly cols: Expr;
  /** Numbers from row to row of x. */
  readonly xPitch: Expr;
  /** Numbers from plane to plane of x. */
  readonly xPlane: Expr;
}

/** Sizes that a family takes at run time. */
export const runtimePoolSizes: PoolSizeExprs = {
  rows: "rows",
  cols: "cols",
  xPitch: "xPitch",
  xPlane: "xPlane",
};

/** Writes the matches of one window; returns the index of its maximum. */
function tournament(
  writer: CodeBlockWriter,
  { matches }: PoolSchedule,
  xPitch: Expr,
): string {
  const place = ({ row, col }: Place) => at("xi", sum(times(row, xPitch), col));
  // A place is read once: where it first contends.
  function contender(number: number, side: "a" | "b", of: Place | number): string {
    const at = typeof of === "number" ? `i${of}` : place(of);
    writer.writeLine(`const ${side}${number} = x[${at}];`);
    return at;
  }
  matches.forEach(({ first, second }, n) => {
    const i = contender(n, "a", first), j = contender(n, "b", second);
    const wins = `Number(!(a${n} >= b${n})) & Number(a${n} === a${n})`;
    const literal = typeof first !== "number" && typeof second !== "number" &&
      first.row === second.row;
    const gap = literal ? second.col - first.col : `(${j} - ${parenthesised(i)})`;
    writer.writeLine(
      gap === 1 ? `const i${n} = ${i} + (${wins});` : `const i${n} = ${i} + (${gap} & -(${wins}));`,
    );
  });
  return matches.length === 0 ? "xi" : `i${matches.length - 1}`;
}

function parenthesised(index: string): string {
  return index.includes(" ") ? `(${index})` : index;
}

/** The frame of every pass: loops over planes and windows. */
function poolFunction(
  name: string,
  doc: string,
  arrays: readonly string[],
  stepX: Step,
  sizes: PoolSizeExprs,
  window: (writer: CodeBlockWriter) => void,
): FunctionDeclarationStructure {
  return {
    kind: StructureKind.Function,
    name,
    docs: [doc],
    parameters: [
      ...arrays.map((array) => ({ name: array, type: "Numbers" })),
      { name: "s", type: "PoolSizes" },
    ],
    returnType: "void",
    statements: (writer) => {
      const names = typeof sizes.rows === "number" ? [] : ["rows", "cols", "xPitch", "xPlane"];
      writer.writeLine(`const { ${["planes", ...names].join(", ")} } = s;`);
      writer.writeLine("let yi = 0;");
      writer.write("for (let p = 0; p < planes; p++)").block(() => {
        writer.write(`for (let r = 0; r < ${sizes.rows}; r++)`).block(() => {
          const row = times("r", times(stepX.y, sizes.xPitch));
          writer.writeLine(`let xi = ${index(sum(times("p", sizes.xPlane), row))};`);
          writer.write(`for (const end = ${index(`yi + ${sizes.cols}`)}; yi < end;)`).block(() => {
            window(writer);
            writer.writeLine(`${advanceIndex("xi", stepX.x)};`);
            writer.writeLine(`${advanceIndex("yi", 1)};`);
          });
        });
      });
    },
  };
}

/** y = the maximum of each window. */
export function poolForwardFunction(
  name: string,
  doc: string,
  schedule: PoolSchedule,
  sizes: PoolSizeExprs,
): FunctionDeclarationStructure {
  return poolFunction(name, doc, ["x", "y"], schedule.stepX, sizes, (writer) => {
    writer.writeLine(`y[yi] = x[${tournament(writer, schedule, sizes.xPitch)}];`);
  });
}

/** dx += dy at the maximum of each window. */
export function poolBackwardFunction(
  name: string,
  doc: string,
  schedule: PoolSchedule,
  sizes: PoolSizeExprs,
): FunctionDeclarationStructure {
  return poolFunction(name, doc, ["x", "dy", "dx"], schedule.stepX, sizes, (writer) => {
    writer.writeLine(`dx[${tournament(writer, schedule, sizes.xPitch)}] += dy[yi];`);
  });
}

/** How to index the places of an average pool's window. */
function averagePlaces(
  writer: CodeBlockWriter,
  { places }: AveragePoolSchedule,
  { xPlane, xPitch }: PoolSizeExprs,
): string[] {
  const inPlane = places.map((place) => ({ ...place, plane: 0 }));
  const at = declareRows(writer, "xi", inPlane, xPlane, xPitch);
  return inPlane.map(at);
}

/** y = the average of each window: added in the order of the naive loops, from 0 as they do. */
export function averageForwardFunction(
  name: string,
  doc: string,
  schedule: AveragePoolSchedule,
  sizes: PoolSizeExprs,
): FunctionDeclarationStructure {
  return poolFunction(name, doc, ["x", "y"], schedule.stepX, sizes, (writer) => {
    const terms = averagePlaces(writer, schedule, sizes).map((at) => `x[${at}]`);
    writer.writeLine("let sum = 0;");
    for (const term of terms) writer.writeLine(`sum += ${term};`);
    writer.writeLine(`y[yi] = sum / ${terms.length};`);
  });
}

/** dx += dy, shared out over each window. */
export function averageBackwardFunction(
  name: string,
  doc: string,
  schedule: AveragePoolSchedule,
  sizes: PoolSizeExprs,
): FunctionDeclarationStructure {
  return poolFunction(name, doc, ["dy", "dx"], schedule.stepX, sizes, (writer) => {
    const places = averagePlaces(writer, schedule, sizes);
    writer.writeLine(`const share = dy[yi] / ${places.length};`);
    for (const at of places) writer.writeLine(`dx[${at}] += share;`);
  });
}
