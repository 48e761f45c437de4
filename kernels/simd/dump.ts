/**
 * A module of assembler.ts as WebAssembly text, for a person whose test has failed. Any assembler
 * turns the text back into the same bytes.
 *
 * Nothing of mod.ts imports this.
 *
 * @module
 */

import { memory, memoryLane, opening, valueTypes } from "./opcodes.ts";
import { decode, type Instruction } from "./decoder.ts";

/** One instruction as text. */
function instructionText({ name, numbers }: Instruction): string {
  if (name in opening) return name;
  if (name in memory || name in memoryLane) {
    const [align, offset, ...lane] = numbers;
    const words = [name, offset === 0 ? "" : `offset=${offset}`, `align=${2 ** align}`, ...lane];
    return words.filter((word) => word !== "").join(" ");
  }
  return [name, ...(name === "v128.const" ? ["i8x16"] : []), ...numbers].join(" ");
}

function typeName(code: number): string {
  const found = Object.entries(valueTypes).find(([, value]) => value === code);
  if (found === undefined) throw new RangeError(`No value type has the code ${code}`);
  return found[0];
}

/** The text of one function's code, one instruction a line, indented by block. */
function codeText(code: readonly Instruction[]): string[] {
  const lines: string[] = [];
  let depth = 2;
  for (const instruction of code) {
    const { name } = instruction;
    if (name === "end" || name === "else") depth--;
    lines.push("  ".repeat(depth) + instructionText(instruction));
    if (name === "else" || name in opening) depth++;
  }
  return lines;
}

/**
 * The text of a module.
 *
 * @param bytes What `Assembly.bytes` gave.
 * @returns The module in WebAssembly's text format.
 * @throws {RangeError} If it holds anything that the assembler does not write.
 */
export function dump(bytes: Uint8Array): string {
  const lines = ["(module", '  (import "e" "m" (memory 1))'];
  for (const { name, params, locals, code } of decode(bytes)) {
    const list = (word: string, types: readonly number[]) =>
      types.length === 0 ? "" : ` (${word} ${types.map(typeName).join(" ")})`;
    lines.push(`  (func (export "${name}")${list("param", params)}`);
    if (locals.length > 0) lines.push(`   ${list("local", locals)}`);
    lines.push(...codeText(code), "  )");
  }
  lines.push(")", "");
  return lines.join("\n");
}
