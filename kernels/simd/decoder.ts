/**
 * Reads back what assembler.ts writes, for the interpreter and for people.
 *
 * @module
 */

import {
  immediate,
  indexed,
  memory,
  memoryLane,
  opening,
  OTHER_MEMORY,
  plain,
  SIMD,
} from "./opcodes.ts";

/** One instruction. */
export interface Instruction {
  readonly name: string;
  /**
   * The values in the code. A load or store has an alignment (as an exponent of 2) and an offset, one of
   * a lane that too; a local, a function, a depth and a 32-bit constant are one number; the rest are bytes.
   */
  readonly numbers: readonly number[];
}

/** One function. */
export interface Decoded {
  readonly name: string;
  /** Codes of the types. */
  readonly params: readonly number[];
  readonly locals: readonly number[];
  /** The instructions, but for the last "end". */
  readonly code: readonly Instruction[];
}

type Known = ReadonlyMap<number, { readonly name: string; readonly count: number }>;

/** The instructions by code, and how many values follow; the last table's are bytes, but for one. */
function knownInstructions(): Known {
  const tables = [
    [0, plain],
    [1, indexed],
    [1, opening],
    [2, memory],
    [3, memoryLane],
    [16, immediate],
  ] as const;
  return new Map(
    tables.flatMap(([count, table]) =>
      Object.entries(table).map(([name, code]) => [code, { name, count }] as const)
    ),
  );
}

/** Made when it is first needed: a page whose code decodes nothing does not load it. */
let decoding: Known | undefined;

/**
 * The functions of a module.
 *
 * @param bytes What `Assembly.bytes` gave.
 * @returns The functions, by number.
 * @throws {RangeError} If it holds anything that the assembler does not write.
 */
export function decode(bytes: Uint8Array): Decoded[] {
  let at = 8;

  function byte(): number {
    if (at >= bytes.length) throw new RangeError(`The code ends at byte ${at}`);
    return bytes[at++];
  }

  /** A number as LEB128, with its sign or of 0 or more. */
  function number(signed = false): number {
    let value = 0, shift = 0, part;
    do {
      part = byte();
      value |= (part & 0x7f) << shift;
      shift += 7;
    } while (part > 0x7f);
    if (!signed) return value >>> 0;
    return shift < 32 ? (value << (32 - shift)) >> (32 - shift) : value;
  }

  const list = <T>(count: number, read: () => T) => Array.from({ length: count }, () => read());

  function instruction(): Instruction {
    const first = byte();
    const code = first === 0xfd ? SIMD + number() : first;
    decoding ??= knownInstructions();
    const known = decoding.get(code);
    if (known === undefined) {
      throw new RangeError(`No instruction of the table has the code 0x${code.toString(16)}`);
    }
    const { name, count } = known;
    if (name === "i32.const") return { name, numbers: [number(true)] };
    if ((name in memory || name in memoryLane) && bytes[at] === OTHER_MEMORY) {
      throw new RangeError("No memory is known but the first");
    }
    return { name, numbers: list(count, count < 16 ? number : byte) };
  }

  function body(): Pick<Decoded, "locals" | "code"> {
    const size = number();
    // The last byte is the function's "end".
    const end = at + size - 1;
    const locals = list(number(), () => Array<number>(number()).fill(byte())).flat();
    const code: Instruction[] = [];
    while (at < end) code.push(instruction());
    at = end + 1;
    return { locals, code };
  }

  const params: number[][] = [], names: string[] = [];
  const bodies: Pick<Decoded, "locals" | "code">[] = [];
  while (at < bytes.length) {
    const id = byte(), size = number();
    const end = at + size;
    for (let left = number(); left > 0; left--) {
      if (id === 1) {
        byte();
        params.push(list(number(), byte));
        byte();
      } else if (id === 7) {
        names.push(String.fromCharCode(...list(number(), byte)));
        byte();
        number();
      } else if (id === 10) {
        bodies.push(body());
      }
    }
    at = end;
  }
  return bodies.map((each, i) => ({ name: names[i], params: params[i], ...each }));
}
