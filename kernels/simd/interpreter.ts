/**
 * Runs the assembler's modules without WebAssembly, so that reproducible results are the same bits on
 * a host that has none: every instruction becomes a closure over typed arrays. No code is made from
 * text, which a page's policy may forbid. Some hundred times slower than what it stands for.
 *
 * Values live in slots of 16 bytes. The code has no block with a result, so the depth of the stack is
 * known at each instruction: a stack's place, a local and a constant are all slots with fixed numbers,
 * and reading a local costs nothing. A function never calls itself, so it needs its slots only once.
 *
 * @module
 */

import { memory as memoryTable, memoryLane, opening, valueTypes } from "./opcodes.ts";
import { decode, type Decoded } from "./decoder.ts";
import type { Functions, Machine, Memory } from "./memory.ts";
import { type Make, operations, type Step } from "./operations.ts";

const PAGE = 65536;

/** A memory in place of WebAssembly's. */
class InterpreterMemory {
  buffer: ArrayBuffer;

  constructor(pages: number) {
    this.buffer = new ArrayBuffer(pages * PAGE);
  }

  /** Makes it larger. What it holds stays, in another buffer. */
  grow(pages: number): number {
    const { buffer } = this;
    this.buffer = new ArrayBuffer(buffer.byteLength + pages * PAGE);
    new Uint8Array(this.buffer).set(new Uint8Array(buffer));
    return buffer.byteLength / PAGE;
  }
}

/** The interpreter, for `setInterpreter`. */
export const interpreter: Machine = {
  memory: (initial) => new InterpreterMemory(initial),
  load: (bytes) => (memory) => interpret(bytes, memory),
};

/**
 * Makes the functions of a module.
 *
 * @param bytes What `Assembly.bytes` gave.
 * @param memory The memory of its loads and stores.
 * @returns The functions by name; their parameters are 32-bit numbers.
 * @throws {RangeError} If it holds anything that is not understood.
 */
export function interpret(bytes: Uint8Array, memory: Memory): Functions {
  const funcs = decode(bytes);
  /** Where each function's slots start: parameters, locals, the stack's places, and constants. */
  const frames: number[] = [];
  let words = 0;
  for (const { params, locals, code } of funcs) {
    frames.push(words);
    words += 4 * (params.length + locals.length + 2 * code.length);
  }
  const ints = new Int32Array(words);
  const table = operations(ints);
  let content = new Int32Array(memory.buffer);
  const bodies = funcs.map(compile);
  return Object.fromEntries(funcs.map(({ name, params }, index) => {
    if (params.some((type) => type !== valueTypes.i32)) {
      throw notUnderstood(`a parameter of ${name}`);
    }
    return [name, (...args: number[]) => {
      if (content.buffer !== memory.buffer) content = new Int32Array(memory.buffer);
      for (let k = 0; k < params.length; k++) ints[frames[index] + 4 * k] = args[k];
      bodies[index]();
    }];
  }));

  /** The step that runs a function. */
  function compile({ params, locals, code }: Decoded, index: number): Step {
    const firstLocal = frames[index] + 4 * params.length;
    const firstPlace = firstLocal + 4 * locals.length;
    let nextConstant = firstPlace + 4 * code.length;
    /** The slot of each value on the stack: its own place, or that of a local or constant. */
    const stack: number[] = [];
    let steps: Step[] = [];
    /** Makes the last step again for another slot, if that step's result is on top of the stack. */
    let remake: Make | undefined;
    let at = 0;
    const run = block();
    if (at < code.length) throw notUnderstood(`"${code[at].name}" without a block`);
    return () => {
      ints.fill(0, firstLocal, firstPlace);
      run();
    };

    function pop(): number {
      const slot = stack.pop();
      if (slot === undefined) throw notUnderstood("an empty stack");
      return slot;
    }

    function push(make: Make): void {
      const to = firstPlace + 4 * stack.length;
      steps.push(make(to));
      stack.push(to);
      remake = make;
    }

    function copy(from: number, to: number): void {
      steps.push(() => ints.copyWithin(to, from, from + 4));
    }

    /** Gives values that are read from a local, or from any, places of their own: it may change now. */
    function settle(local?: number): void {
      for (const [k, slot] of stack.entries()) {
        if (local === undefined ? slot >= firstPlace : slot !== local) continue;
        stack[k] = firstPlace + 4 * k;
        copy(slot, stack[k]);
        remake = undefined;
      }
    }

    /** The code up to an "end" or "else", again and again if it is a loop that says so. */
    function block(isLoop = false): Step {
      const outer = steps, inner: Step[] = [];
      steps = inner;
      let again: number | undefined;
      for (; at < code.length; at++) {
        const { name, numbers } = code[at];
        if (name === "end" || name === "else") break;
        if (name === "br_if") {
          const isLast = code[at + 1]?.name === "end" && numbers[0] === 0;
          if (!isLoop || !isLast) throw notUnderstood("a branch that does not end a loop");
          again = pop();
        } else if (name in opening) nested(name === "loop");
        else instruction(name, numbers);
      }
      steps = outer;
      remake = undefined;
      const once = () => {
        for (let k = 0; k < inner.length; k++) inner[k]();
      };
      if (again === undefined) return once;
      const last = again;
      return () => {
        do once(); while (ints[last] !== 0);
      };
    }

    function nested(isLoop: boolean): void {
      const condition = isLoop ? 0 : pop();
      settle();
      at++;
      const run = block(isLoop);
      let otherwise = () => {};
      if (code[at].name === "else") {
        at++;
        otherwise = block();
      }
      steps.push(isLoop ? run : () => ints[condition] !== 0 ? run() : otherwise());
    }

    function instruction(name: string, numbers: readonly number[]): void {
      const last = remake;
      remake = undefined;
      const [first, offset, lane = 0] = numbers;
      const local = frames[index] + 4 * first;
      if (name in table) {
        const operation = table[name];
        const b = operation.length > 2 ? pop() : 0, a = pop();
        push((to) => operation(to, a, b));
      } else if (name in memoryTable || name in memoryLane) {
        transfer(name, offset, lane);
      } else if (name === "local.get") {
        stack.push(local);
      } else if (name === "local.set" || name === "local.tee") {
        const value = pop();
        remake = last;
        settle(local);
        if (remake === undefined) copy(value, local);
        else steps[steps.length - 1] = remake(local);
        remake = undefined;
        if (name === "local.tee") stack.push(local);
      } else if (name === "call") {
        const to = frames[first];
        for (let k = funcs[first].params.length - 1; k >= 0; k--) copy(pop(), to + 4 * k);
        steps.push(() => bodies[first]());
      } else if (name === "i32.const" || name === "v128.const") {
        const constant = numbers.length > 1 ? numbers : new Uint8Array(Int32Array.of(first).buffer);
        new Uint8Array(ints.buffer, 4 * nextConstant).set(constant);
        stack.push(nextConstant);
        nextConstant += 4;
      } else if (name === "i8x16.shuffle") {
        shuffle(numbers);
      } else {
        throw notUnderstood(name);
      }
    }

    /** A load or store of one word, two or four, a lane or not. */
    function transfer(name: string, offset: number, lane: number): void {
      const count = /64/.test(name) ? 2 : /32/.test(name) ? 1 : 4;
      const value = name in memoryLane || /store/.test(name) ? pop() : 0;
      const address = pop(), mask = count - 1, skipped = lane * count;
      if (/store/.test(name)) {
        steps.push(() => {
          const start = place(address, offset, count);
          for (let k = 0; k < count; k++) content[start + k] = ints[value + skipped + k];
        });
      } else if (name in memoryLane) {
        push((to) => () => {
          const start = place(address, offset, count);
          ints.copyWithin(to, value, value + 4);
          for (let k = 0; k < count; k++) ints[to + skipped + k] = content[start + k];
        });
      } else {
        // A splat repeats its words; what is beyond a scalar's is never read.
        push((to) => () => {
          const start = place(address, offset, count);
          ints[to] = content[start];
          ints[to + 1] = content[start + (1 & mask)];
          ints[to + 2] = content[start + (2 & mask)];
          ints[to + 3] = content[start + (3 & mask)];
        });
      }
    }

    /** A shuffle that moves whole words. */
    function shuffle(lanes: readonly number[]): void {
      const second = pop(), first = pop();
      const [a, b, c, d] = [0, 4, 8, 12].map((k) => {
        const lane = lanes[k];
        if (lane % 4 !== 0 || [1, 2, 3].some((i) => lanes[k + i] !== lane + i)) {
          throw notUnderstood(`a shuffle of bytes: ${lanes.join()}`);
        }
        return lane < 16 ? first + lane / 4 : second + lane / 4 - 4;
      });
      push((to) => () => {
        const [w, x, y, z] = [ints[a], ints[b], ints[c], ints[d]];
        ints[to] = w;
        ints[to + 1] = x;
        ints[to + 2] = y;
        ints[to + 3] = z;
      });
    }
  }

  /** Where some words at an address in a slot are in the memory. */
  function place(slot: number, offset: number, count: number): number {
    // An address beyond 2^31 is negative here, and as wrong.
    const address = ints[slot] + offset;
    if ((address & 3) !== 0 || address < 0 || address + 4 * count > content.byteLength) {
      throw new RangeError(`Memory access out of bounds, or not to a whole number: ${address}`);
    }
    return address >> 2;
  }
}

function notUnderstood(what: string): RangeError {
  return new RangeError(`The interpreter does not understand ${what}`);
}
