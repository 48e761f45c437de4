/**
 * A module of assembler.ts as WebAssembly text, for a person whose test has failed. Any assembler
 * turns the text back into the same bytes.
 *
 * Nothing of mod.ts imports this.
 *
 * @module
 */

import {
  immediate,
  indexed,
  memory,
  memoryLane,
  opening,
  plain,
  SIMD,
  valueTypes,
} from "./assembler.ts";

type Kind =
  | "plain"
  | "memory"
  | "memoryLane"
  | "indexed"
  | "opening"
  | "immediate";

const decoding = new Map<number, { name: string; kind: Kind }>();
const tables = { plain, memory, memoryLane, indexed, opening, immediate };
for (const [kind, table] of Object.entries(tables)) {
  for (const [name, code] of Object.entries(table)) {
    decoding.set(code, { name, kind: kind as Kind });
  }
}

/** Reads numbers one after the other. */
class Reader {
  at = 0;
  constructor(readonly bytes: Uint8Array) {}

  byte(): number {
    if (this.at >= this.bytes.length) throw new RangeError(`The code ends at byte ${this.at}`);
    return this.bytes[this.at++];
  }

  take(count: number): Uint8Array {
    return this.bytes.subarray(this.at, this.at += count);
  }

  unsigned(): number {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  signed(): number {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return shift + 7 < 32 ? (value << (25 - shift)) >> (25 - shift) : value;
    }
  }

  text(): string {
    return String.fromCharCode(...this.take(this.unsigned()));
  }
}

function typeName(code: number): string {
  const found = Object.entries(valueTypes).find(([, value]) => value === code);
  if (found === undefined) throw new RangeError(`No value type has the code ${code}`);
  return found[0];
}

/** One instruction as text, and how it changes the depth of nesting. */
function instruction(reader: Reader): { text: string; name: string } {
  const first = reader.byte();
  const code = first === 0xfd ? SIMD + reader.unsigned() : first;
  const known = decoding.get(code);
  if (known === undefined) {
    throw new RangeError(`No instruction of the table has the code 0x${code.toString(16)}`);
  }
  const { name, kind } = known;
  const address = () => {
    const align = 2 ** reader.unsigned();
    const offset = reader.unsigned();
    return `${offset === 0 ? "" : ` offset=${offset}`} align=${align}`;
  };
  switch (kind) {
    case "plain":
      return { text: name, name };
    case "opening":
      reader.byte();
      return { text: name, name };
    case "indexed":
      return { text: `${name} ${reader.unsigned()}`, name };
    case "memory":
      return { text: name + address(), name };
    case "memoryLane":
      return { text: `${name}${address()} ${reader.byte()}`, name };
    case "immediate":
      if (name === "i32.const") return { text: `${name} ${reader.signed()}`, name };
      return {
        text: `${name}${name === "v128.const" ? " i8x16" : ""} ${[...reader.take(16)].join(" ")}`,
        name,
      };
  }
}

/** The text of one function's code, one instruction a line, indented by block. */
function codeText(reader: Reader, end: number): string[] {
  const lines: string[] = [];
  let depth = 2;
  while (reader.at < end) {
    const { text, name } = instruction(reader);
    if (name === "end" || name === "else") depth--;
    if (name === "end" && depth === 1) break;
    lines.push("  ".repeat(depth) + text);
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
  const reader = new Reader(bytes);
  reader.take(8);
  const params: string[][] = [];
  const names: string[] = [];
  const lines = ["(module"];
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const length = reader.unsigned();
    const start = reader.at;
    const count = reader.unsigned();
    for (let i = 0; i < count; i++) {
      if (id === 1) {
        reader.byte();
        params.push(Array.from(reader.take(reader.unsigned()), typeName));
        reader.byte();
      } else if (id === 2) {
        const [module, name] = [reader.text(), reader.text()];
        reader.take(2);
        lines.push(`  (import "${module}" "${name}" (memory ${reader.unsigned()}))`);
      } else if (id === 7) {
        names.push(reader.text());
        reader.take(1);
        reader.unsigned();
      } else if (id === 10) {
        const size = reader.unsigned();
        const end = reader.at + size;
        const locals: string[] = [];
        for (let runs = reader.unsigned(); runs > 0; runs--) {
          const times = reader.unsigned();
          locals.push(...Array(times).fill(typeName(reader.byte())));
        }
        const list = (word: string, types: string[]) =>
          types.length === 0 ? "" : ` (${word} ${types.join(" ")})`;
        lines.push(`  (func (export "${names[i]}")${list("param", params[i])}`);
        if (locals.length > 0) lines.push(`   ${list("local", locals)}`);
        lines.push(...codeText(reader, end));
        lines.push("  )");
        reader.at = end;
      }
    }
    reader.at = start + length;
  }
  lines.push(")", "");
  return lines.join("\n");
}
