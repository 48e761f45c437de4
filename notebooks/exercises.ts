/**
 * The exercises: each is a solved notebook without its solutions and outputs, so that the two can't
 * differ in anything else. In the solved notebook a solution stands between two comments, as nbgrader
 * has them:
 *
 *   // BEGIN SOLUTION: what to do, in a line
 *   // END SOLUTION
 *
 * The exercise has in its place a comment with that line and a statement that throws.
 *
 * @module
 */

/** A notebook, as far as the tools look into it. */
export interface Notebook {
  cells: Cell[];
  [field: string]: unknown;
}

/** A cell of a notebook. */
export interface Cell {
  cell_type: string;
  id: string;
  metadata: Record<string, unknown>;
  source: string | string[];
  execution_count?: number | null;
  outputs?: Output[];
}

/** What a cell printed or showed. */
export interface Output {
  output_type: string;
  name?: string;
  text?: string | string[];
  data?: Record<string, unknown>;
}

/** The text of a cell or an output: Jupyter writes lines. */
export function join(text: string | string[]): string {
  return Array.isArray(text) ? text.join("") : text;
}

const SOLUTION =
  /^( *)\/\/ BEGIN SOLUTION: (.+)\n(?:(?!.*\/\/ BEGIN SOLUTION).*\n)*?\1\/\/ END SOLUTION$/gm;

/**
 * A cell's code without its solutions, to run in a folder one below.
 *
 * @param code The solved code.
 * @returns The exercise's.
 * @throws {SyntaxError} If a solution's comments do not pair.
 */
export function withoutSolutions(code: string): string {
  const exercise = code
    .replace(
      SOLUTION,
      (_, indent, task) => `${indent}// TODO: ${task}\n${indent}throw new Error("TODO");`,
    )
    .replace(/from "\.(\.?)\//g, (_, parent) => `from "../${parent && "../"}`);
  const left = exercise.match(/^.*(BEGIN|END) SOLUTION.*$/m);
  if (left === null) return exercise;
  throw new SyntaxError(`A solution needs both of its comments, with a task: found "${left[0]}"`);
}

/**
 * The exercise of a solved notebook.
 *
 * @param name The notebook's file name.
 * @param solved The notebook.
 * @returns The exercise.
 * @throws {SyntaxError} If a solution's comments do not pair.
 */
export function exerciseOf(name: string, solved: Notebook): Notebook {
  const cells = solved.cells.map((cell): Cell =>
    cell.cell_type !== "code" ? cell : {
      ...cell,
      execution_count: null,
      outputs: [],
      source: withoutSolutions(join(cell.source)).split(/(?<=\n)/),
    }
  );
  const tasks = cells.flatMap(({ source }) => join(source).match(/\/\/ TODO: /g) ?? []).length;
  const instructions: Cell = {
    cell_type: "markdown",
    id: "instructions",
    metadata: {},
    // Paragraphs of less than a line, which the formatter leaves as they are.
    source: [
      `**Exercises.** This notebook has ${tasks} functions to write: search for TODO.\n`,
      "\n",
      "The cells below each of them check it: the notebook stops where a value is wrong.\n",
      "\n",
      `The solutions are in [${name}](../${name}).`,
    ],
  };
  return { ...solved, cells: [cells[0], instructions, ...cells.slice(1)] };
}
