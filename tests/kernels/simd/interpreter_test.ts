import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Assembly, type Func } from "../../../kernels/simd/assembler.ts";
import { memory, memoryLane, plain } from "../../../kernels/simd/opcodes.ts";
import type { MemoryLaneOp, MemoryOp } from "../../../kernels/simd/opcodes.ts";
import { interpret, interpreter } from "../../../kernels/simd/interpreter.ts";
import { operations } from "../../../kernels/simd/operations.ts";

/** Vectors at the start of the memory, and where results go. */
const VECTORS = 14, RESULTS = 256;

/** Fills a memory's first vectors: numbers of both dtypes, special ones among them, and masks. */
function fill(buffer: ArrayBufferLike): void {
  new Float32Array(buffer).set([
    ...[1.5, -2.25, 3e-39, 16777217, -0, 0, Infinity, -Infinity, 0.1, -0.1, 3e38, 3e38],
    ...[0, -0, 1, 1e-45, NaN, 1, NaN, -1],
  ]);
  new Float64Array(buffer).set([
    ...[0.1, -1 / 3, 5e-324, -0, 0, Infinity, 1e300, -1e300, -0, 1 / 3, 1e38 / 3, 3.5e38],
    ...[1e-45, 1e-46, NaN, 1],
  ], 10);
  new Int32Array(buffer).set([-1, 0, 0x55555555, -(2 ** 31)], 52);
}

type Write = (main: Func, assembly: Assembly) => void;

/** The memories after a function was run by WebAssembly and by the interpreter. */
function run(
  write: Write,
  args: number[] = [],
): { expected: ArrayBuffer; actual: ArrayBuffer } {
  const assembly = new Assembly();
  write(assembly.func("main", args.map(() => "i32")), assembly);
  const bytes = assembly.bytes();
  const m = new WebAssembly.Memory({ initial: 1 }), interpreted = interpreter.memory(1, 2);
  fill(m.buffer);
  fill(interpreted.buffer);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { e: { m } });
  (exports.main as (...args: number[]) => void)(...args);
  interpret(bytes, interpreted).main(...args);
  return {
    expected: new Uint8Array(m.buffer).slice().buffer,
    actual: new Uint8Array(interpreted.buffer).slice().buffer,
  };
}

/** Checks that both leave the same bits behind. */
function check(write: Write, ...args: number[]): void {
  const { expected, actual } = run(write, args);
  assertEquals(new Uint32Array(actual), new Uint32Array(expected));
}

/** Names of a table of the assembler's. */
const names = <T extends object>(table: T) => Object.keys(table) as (keyof T)[];

describe("interpret()", () => {
  for (const name of names(plain)) {
    // Kernels have none of the first, blocks have tests below, and a relaxed one has several results.
    if (/unreachable|drop|any_true|bitselect|else|end|relaxed/.test(name)) continue;
    it(`computes ${name} as WebAssembly does`, () => {
      const count = operations(new Int32Array(16))[name].length - 1;
      if (name.startsWith("i32")) {
        const ints = [0, 1, -1, 7, 65537, 2 ** 31 - 1, -(2 ** 31)];
        for (const a of ints) {
          for (const b of ints) {
            check((f) => f.const(RESULTS).get(0).get(1).op(name).at("i32.store"), a, b);
          }
        }
        return;
      }
      const { expected, actual } = run((f) => {
        for (let a = 0, to = RESULTS; a < VECTORS; a++) {
          for (let b = 0; b < VECTORS; b++, to += 16) {
            f.const(to);
            f.const(16 * a).at("v128.load");
            // The second operand of a shift is a 32-bit number.
            if (name.endsWith("shl")) f.const(9 * b);
            else if (count > 1) f.const(16 * b).at("v128.load");
            f.op(name).at("v128.store");
          }
        }
      });
      // WebAssembly does not say which of its forms a NaN has; every other bit must be the same.
      const Numbers = /^f64x2\.(?!eq|ne)/.test(name)
        ? Float64Array
        : /^f32x4\.(?!eq|ne)/.test(name)
        ? Float32Array
        : Int32Array;
      const results = new Numbers(actual);
      assert(new Uint8Array(expected, RESULTS).some((byte) => byte !== 0));
      new Numbers(expected).forEach((value, i) => {
        assert(Object.is(results[i], value), `number ${i} is ${results[i]}, expected ${value}`);
      });
    });
  }

  it("loads and stores the same bits, NaN's too", () => {
    const stores: Partial<Record<MemoryOp, MemoryOp>> = {
      "i32.load": "i32.store",
      "f32.load": "f32.store",
      "f64.load": "f64.store",
    };
    for (const name of names(memory) as MemoryOp[]) {
      for (const offset of [0, 4, 128]) {
        if (name.includes("load")) {
          const store = stores[name] ?? "v128.store";
          check((f) => f.const(RESULTS).get(0).at(name, offset).at(store, offset), 76);
        } else if (name === "v128.store") {
          check((f) => f.get(0).const(64).at("v128.load").at(name, offset), RESULTS);
        }
      }
    }
    for (const name of names(memoryLane) as MemoryLaneOp[]) {
      for (let lane = 0; lane < (name.includes("64") ? 2 : 4); lane++) {
        check((f) => {
          if (name.includes("store")) f.get(0).const(64).at("v128.load").laneAt(name, lane, 8);
          else f.get(0).const(76).const(160).at("v128.load").laneAt(name, lane, 4).at("v128.store");
        }, RESULTS);
      }
    }
    check((f) => f.get(0).const(-5).at("i32.store", 4), RESULTS);
    const shuffles = [[3, 6, 0, 5], [0, 0, 0, 0], [4, 5, 6, 7], [3, 1], [0, 2]];
    for (const lanes of shuffles) {
      check((f) => {
        const [a, b] = f.locals("v128", 2);
        f.const(16).at("v128.load").set(a).const(160).at("v128.load").set(b);
        f.get(a).get(b).shuffle(lanes).set(a);
        f.get(a).get(b).shuffle(lanes).set(b);
        f.const(RESULTS).get(a).at("v128.store").const(RESULTS).get(b).at("v128.store", 16);
      });
    }
    const bytes = Uint8Array.from({ length: 16 }, (_, i) => 255 - 7 * i);
    check((f) => f.const(RESULTS).vector(bytes).at("v128.store"));
  });

  it("keeps a local's value on the stack while the local changes", () => {
    check((f) => {
      const [a, b] = f.locals("i32", 2);
      // 0 stays below what changes it: by a set, by a tee, in a loop and in a block that may not run.
      f.const(RESULTS).get(0).get(0).const(1).op("i32.add").set(0).get(0).op("i32.mul").set(a);
      f.get(a).at("i32.store");
      f.const(RESULTS + 4).get(0).get(0).const(5).op("i32.mul").tee(0).op("i32.add");
      f.at("i32.store");
      f.const(RESULTS + 8).get(0).repeat(b, 3, () => f.advance(0, 10)).get(0).op("i32.mul");
      f.at("i32.store");
      f.const(RESULTS + 12).get(0).get(b).const(1).op("i32.and").if(() => f.advance(0, 100));
      f.at("i32.store").const(RESULTS + 16).get(0).at("i32.store");
      f.get(a).set(a).get(0).tee(b).set(b).const(RESULTS + 20).get(b).at("i32.store");
    }, 6);
  });

  it("runs blocks in blocks, both branches, and functions with locals that start at 0", () => {
    check((f, assembly) => {
      const [i, j, at] = f.locals("i32", 3);
      const add = assembly.func("add", ["i32", "i32"]);
      const sum = add.local("i32");
      // If sum did not start at 0 each time, later results would differ.
      add.advanceBy(sum, 0).advanceBy(sum, 1).get(0).get(sum).at("i32.store");
      f.const(RESULTS).set(at);
      f.repeat(i, 3, () => {
        f.repeat(
          j,
          4,
          () => {
            f.get(i).get(j).op("i32.lt_u").if(() => {
              f.get(j).const(2).op("i32.ne").if(() => f.get(at).const(7).at("i32.store", 1024));
              f.get(at).get(i).call(add).op("else").get(at).get(j).call(add);
            });
            f.advance(at, 4);
          },
          10,
          -1,
        );
      });
      f.countDown(i, 0, () => f.get(at).get(i).call(add).advance(at, 4));
      f.repeat(i, 1, () => f.get(at).const(99).at("i32.store"), 5);
    }, 5);
  });

  it("refuses what is out of bounds or between numbers, and what it does not understand", () => {
    const main = (write: Write, params: ("i32" | "f64")[] = ["i32"]) => {
      const assembly = new Assembly();
      write(assembly.func("main", params), assembly);
      return interpret(assembly.bytes(), interpreter.memory(1, 2)).main;
    };
    const load = main((f) => f.const(0).get(0).at("v128.load", 16).at("v128.store"));
    load(65536 - 32);
    for (const address of [65536 - 28, 65536, 2 ** 31 - 4, -32, 2, 1]) {
      assertThrows(() => load(address), RangeError, "Memory access out of bounds");
    }
    const store = main((f) => f.get(0).const(1).at("i32.store"));
    store(65532);
    assertThrows(() => store(65536), RangeError, "out of bounds");
    const refused: Write[] = [
      (f) => f.vector(new Uint8Array(16)).op("f32x4.relaxed_madd"),
      (f) => f.op("i32.add"),
      (f) => f.loop(() => f.get(0).branchIf(0).advance(0, 1)),
      (f) => f.loop(() => f.loop(() => f.get(0).branchIf(1))),
      (f) => f.get(0).if(() => f.get(0).branchIf(0)),
      (f) => f.op("else"),
      (f) => f.op("unreachable"),
    ];
    for (const write of refused) {
      assertThrows(() => main(write), RangeError, "does not understand");
    }
    assertThrows(() => main(() => {}, ["f64"]), RangeError, "a parameter of main");
    const bytes = Array.from({ length: 16 }, (_, i) => i + 1);
    const shuffle: Write = (f) => f.vector(bytes).vector(bytes).shuffle(bytes);
    assertThrows(() => main(shuffle), RangeError, "a shuffle of bytes: 1,2");
  });

  it("sees a memory that has grown, with what it held", () => {
    const assembly = new Assembly();
    assembly.func("main", ["i32"]).get(0).const(0).at("f64.load").at("f64.store");
    const grown = interpreter.memory(1, 2);
    const { main } = interpret(assembly.bytes(), grown);
    new Float64Array(grown.buffer)[0] = Math.PI;
    assertThrows(() => main(65536), RangeError);
    grown.grow(1);
    main(65536);
    assertEquals(new Float64Array(grown.buffer)[8192], Math.PI);
  });
});
