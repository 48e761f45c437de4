/**
 * Schedule -> ts-morph structures: the functions of a max-pool kernel.
 *
 * A match between two numbers is decided without a branch, because on real data the processor cannot
 * foresee who wins: `!(first >= second)` is true if the second is larger or either is NaN, and
 * `first === first` keeps a NaN that stands first. The winner's index follows by arithmetic.
 *
 * @module
 */

import type { CodeBlockWriter, FunctionDeclarationStructure } from "ts-morph";
import { StructureKind } from "ts-morph";
import type { Place, PoolSchedule } from "./schedule.ts";
import { advance, at, sum, type Text, times } from "./text.ts";

/** The sizes of a pool as text: numbers where the configuration fixes them, names otherwise. */
export interface PoolSizeText {
  /** Height of the output. */
  readonly rows: Text;
  /** Width of the output. */
  readonly cols: Text;
  /** Numbers from row to row of x. */
  readonly xPitch: Text;
  /** Numbers from plane to plane of x. */
  readonly xPlane: Text;
}

/** Sizes that a family takes at run time. */
export const runtimePoolSizes: PoolSizeText = {
  rows: "rows",
  cols: "cols",
  xPitch: "xPitch",
  xPlane: "xPlane",
};

/** Writes the matches of one window; returns the index of its maximum. */
function tournament(
  writer: CodeBlockWriter,
  { matches }: PoolSchedule,
  xPitch: Text,
): string {
  const place = ({ row, col }: Place) => at("xi", sum(times(row, xPitch), col));
  // A place is read once: where it first contends.
  function contender(number: number, side: "a" | "b", of: Place | number): string {
    const index = typeof of === "number" ? `i${of}` : place(of);
    writer.writeLine(`const ${side}${number} = x[${index}];`);
    return index;
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

function poolFunction(
  name: string,
  doc: string,
  arrays: readonly string[],
  schedule: PoolSchedule,
  sizes: PoolSizeText,
  use: (winner: string) => string,
): FunctionDeclarationStructure {
  const { stepX } = schedule;
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
          writer.writeLine(`let xi = ${sum(times("p", sizes.xPlane), row)};`);
          writer.write(`for (const end = yi + ${sizes.cols}; yi < end; yi++)`).block(() => {
            const winner = tournament(writer, schedule, sizes.xPitch);
            writer.writeLine(use(winner));
            writer.writeLine(advance("xi", stepX.x) + ";");
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
  sizes: PoolSizeText,
): FunctionDeclarationStructure {
  return poolFunction(name, doc, ["x", "y"], schedule, sizes, (i) => `y[yi] = x[${i}];`);
}

/** dx += dy at the maximum of each window. */
export function poolBackwardFunction(
  name: string,
  doc: string,
  schedule: PoolSchedule,
  sizes: PoolSizeText,
): FunctionDeclarationStructure {
  return poolFunction(name, doc, ["x", "dy", "dx"], schedule, sizes, (i) => `dx[${i}] += dy[yi];`);
}
