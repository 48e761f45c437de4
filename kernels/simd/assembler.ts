/**
 * A WebAssembly assembler: functions written instruction by instruction, in stack order, into bytes.
 *
 * It knows the few instructions of opcodes.ts, by the names of the specification, and imported memories: the
 * kernels', number 0, and those that arrays are, from 1. It checks nothing: the WebAssembly compiler does.
 *
 * @module
 */

import {
  immediate,
  indexed,
  memory,
  memoryLane,
  type MemoryLaneOp,
  type MemoryOp,
  opening,
  OTHER_MEMORY,
  plain,
  type PlainOp,
  SIMD,
  type ValueType,
  valueTypes,
} from "./opcodes.ts";
import { sharesMemory } from "./shared_copies.ts";

/** A local variable or parameter of a function: its number. */
export type Local = number;

/** Bytes that grow at the end. */
class Bytes {
  #bytes = new Uint8Array(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Makes room for n more bytes. */
  #reserve(n: number): void {
    if (this.#length + n <= this.#bytes.length) return;
    const grown = new Uint8Array(2 * (this.#length + n));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  bytes(values: ArrayLike<number>): void {
    this.#reserve(values.length);
    this.#bytes.set(values, this.#length);
    this.#length += values.length;
  }

  /** A number of 0 or more as unsigned LEB128. */
  unsigned(value: number): void {
    while (value > 0x7f) {
      this.byte((value & 0x7f) | 0x80);
      value >>>= 7;
    }
    this.byte(value);
  }

  /** A 32-bit number as signed LEB128. */
  signed(value: number): void {
    while (value < -64 || value > 63) {
      this.byte((value & 0x7f) | 0x80);
      value >>= 7;
    }
    this.byte(value & 0x7f);
  }

  /** An instruction's code. */
  code(code: number): void {
    if (code < SIMD) return this.byte(code);
    this.byte(0xfd);
    this.unsigned(code - SIMD);
  }

  /** A length and the bytes. */
  sized(content: Bytes): void {
    this.unsigned(content.length);
    this.bytes(content.view());
  }

  /** A length and the characters, which must be ASCII. */
  text(text: string): void {
    this.unsigned(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
  }

  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** The number of the memory in which packed weights are read where they lie. */
export const WEIGHTS = 1;

/** A part of a memory that a function may read, or write. */
export interface Extent {
  readonly memory: number;
  readonly writes: boolean;
  readonly start: number;
  readonly bytes: number;
}

/** One function. Every method writes its instruction at the end and returns the function. */
export class Func {
  readonly name: string;
  /** Its number in the module, for {@linkcode call}. */
  readonly index: number;
  readonly params: readonly ValueType[];
  /**
   * What the function and those that it calls may touch, as it says itself. A layout holds it against its
   * regions before the module is compiled.
   */
  readonly extents: Extent[] = [];
  #called = false;
  /** The numbers of the memories that it loads from or stores to. */
  readonly touched: Set<number> = new Set();
  readonly #locals: ValueType[] = [];
  readonly #code = new Bytes();

  constructor(name: string, index: number, params: readonly ValueType[]) {
    this.name = name;
    this.index = index;
    this.params = params;
  }

  /** A new local variable. Parameters are the locals 0, 1 and so on. */
  local(type: ValueType): Local {
    this.#locals.push(type);
    return this.params.length + this.#locals.length - 1;
  }

  /** Several new local variables. */
  locals(type: ValueType, count: number): Local[] {
    return Array.from({ length: count }, () => this.local(type));
  }

  /** Whether it touches a memory, and neither says where nor is called by a function that does. */
  isSilent(memory: number): boolean {
    return this.touched.has(memory) && !this.#called &&
      this.extents.every((extent) => extent.memory !== memory);
  }

  /** States that code of this function reads a number of bytes at the most: see {@linkcode extents}. */
  reads(start: number, bytes: number, memory = 0): this {
    this.extents.push({ memory, writes: false, start, bytes });
    return this;
  }

  /** The same for writing, or for reading and writing. */
  writes(start: number, bytes: number, memory = 0): this {
    this.extents.push({ memory, writes: true, start, bytes });
    return this;
  }

  /** Pushes a local. */
  get(local: Local): this {
    return this.#indexed(indexed["local.get"], local);
  }

  /** Pops a local. */
  set(local: Local): this {
    return this.#indexed(indexed["local.set"], local);
  }

  /** Stores the top of the stack in a local and leaves it there. */
  tee(local: Local): this {
    return this.#indexed(indexed["local.tee"], local);
  }

  /** Pushes a 32-bit number. */
  const(value: number): this {
    this.#code.byte(immediate["i32.const"]);
    this.#code.signed(value | 0);
    return this;
  }

  /** Pushes a vector of sixteen bytes. */
  vector(bytes: ArrayLike<number>): this {
    this.#code.code(immediate["v128.const"]);
    this.#code.bytes(bytes);
    return this;
  }

  /** An instruction that takes all it needs from the stack. */
  op(name: PlainOp): this {
    this.#code.code(plain[name]);
    return this;
  }

  /** A load or store at the address on the stack plus an offset; nothing is said of alignment. */
  at(name: MemoryOp, offset = 0, index = 0): this {
    this.#code.code(memory[name]);
    return this.#place(offset, index);
  }

  /** A load or store of one lane at the address on the stack plus an offset. */
  laneAt(name: MemoryLaneOp, lane: number, offset = 0, index = 0): this {
    this.#code.code(memoryLane[name]);
    this.#place(offset, index);
    this.#code.byte(lane);
    return this;
  }

  /** An offset in the memory of a number. */
  #place(offset: number, index: number): this {
    this.touched.add(index);
    if (index === 0) this.#code.byte(0);
    else this.#code.bytes([OTHER_MEMORY, index]);
    this.#code.unsigned(offset);
    return this;
  }

  /**
   * Picks lanes of the two vectors on the stack: lanes count through the first, then the second. Four
   * numbers pick 32-bit lanes, two pick 64-bit lanes.
   */
  shuffle(lanes: readonly number[]): this {
    this.#code.code(immediate["i8x16.shuffle"]);
    const size = 16 / lanes.length;
    for (const lane of lanes) {
      for (let i = 0; i < size; i++) this.#code.byte(lane * size + i);
    }
    return this;
  }

  /** Calls another function of the module. */
  call(func: Func): this {
    func.#called = true;
    return this.#indexed(indexed["call"], func.index);
  }

  /** Repeats the loop, or leaves the block, at a depth (0 is the innermost) if the stack says so. */
  branchIf(depth: number): this {
    return this.#indexed(indexed["br_if"], depth);
  }

  /** A block that {@linkcode branchIf} repeats. */
  loop(body: () => void): this {
    return this.#nested(opening["loop"], body);
  }

  /** A block that runs if the number on the stack is not 0. */
  if(body: () => void): this {
    return this.#nested(opening["if"], body);
  }

  /** local += step. */
  advance(local: Local, step: number): this {
    if (step === 0) return this;
    return this.get(local).const(step).op("i32.add").set(local);
  }

  /** local += another local. */
  advanceBy(local: Local, step: Local): this {
    return this.get(local).get(step).op("i32.add").set(local);
  }

  /**
   * Runs the body a number of times: straight if that is once, else with a counter that goes from
   * `from` up by `step`.
   */
  repeat(counter: Local, times: number, body: () => void, from = 0, step = 1): this {
    if (times <= 0) return this;
    this.const(from).set(counter);
    if (times === 1) {
      body();
      return this;
    }
    return this.loop(() => {
      body();
      this.get(counter).const(step).op("i32.add").tee(counter);
      this.const(from + times * step).op("i32.ne").branchIf(0);
    });
  }

  /** Runs the body as often as a local says, at least once; a counter goes down from there. */
  countDown(counter: Local, times: Local, body: () => void): this {
    if (counter !== times) this.get(times).set(counter);
    return this.loop(() => {
      body();
      this.get(counter).const(-1).op("i32.add").tee(counter).branchIf(0);
    });
  }

  /** The bytes of the function: its locals and its code. */
  encoded(): Bytes {
    const body = new Bytes();
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    body.unsigned(runs.length);
    for (const { type, count } of runs) {
      body.unsigned(count);
      body.byte(valueTypes[type]);
    }
    body.bytes(this.#code.view());
    body.byte(plain["end"]);
    return body;
  }

  #indexed(code: number, index: number): this {
    this.#code.byte(code);
    this.#code.unsigned(index);
    return this;
  }

  #nested(code: number, body: () => void): this {
    this.#code.byte(code);
    this.#code.byte(0x40);
    body();
    return this.op("end");
  }
}

/**
 * A module: functions, each exported under its name, and the memory "m" imported from "e"; and "1", "2" and
 * so on, as far as functions touch them.
 */
export class Assembly {
  readonly #funcs: Func[] = [];
  readonly #shared: boolean;

  /** @param shared Whether the memories beside the kernels' are shared. Default: if the host shares any. */
  constructor(shared: boolean = sharesMemory()) {
    this.#shared = shared;
  }

  /** The functions so far. */
  get funcs(): readonly Func[] {
    return this.#funcs;
  }

  /** A new function without results. */
  func(name: string, params: readonly ValueType[] = []): Func {
    const func = new Func(name, this.#funcs.length, params);
    this.#funcs.push(func);
    return func;
  }

  /** The module as WebAssembly.Module takes it. */
  bytes(): Uint8Array<ArrayBuffer> {
    const out = new Bytes();
    out.bytes([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    const section = (id: number, count: number, write: (content: Bytes) => void) => {
      const content = new Bytes();
      content.unsigned(count);
      write(content);
      out.byte(id);
      out.sized(content);
    };
    const funcs = this.#funcs;
    section(1, funcs.length, (types) => {
      for (const { params } of funcs) {
        types.byte(0x60);
        types.unsigned(params.length);
        for (const type of params) types.byte(valueTypes[type]);
        types.byte(0);
      }
    });
    const last = Math.max(0, ...funcs.flatMap(({ touched }) => [...touched]));
    section(2, 1 + last, (imports) => {
      imports.text("e");
      imports.text("m");
      imports.bytes([2, 0, 1]);
      for (let i = 1; i <= last; i++) {
        imports.text("e");
        imports.text(`${i}`);
        // From one page to all that there can be.
        imports.bytes([2, this.#shared ? 3 : 1, 1, 0x80, 0x80, 4]);
      }
    });
    section(3, funcs.length, (types) => {
      for (const { index } of funcs) types.unsigned(index);
    });
    section(7, funcs.length, (exports) => {
      for (const { name, index } of funcs) {
        exports.text(name);
        exports.byte(0);
        exports.unsigned(index);
      }
    });
    section(10, funcs.length, (bodies) => {
      for (const func of funcs) bodies.sized(func.encoded());
    });
    return new Uint8Array(out.view());
  }
}
