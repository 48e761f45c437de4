import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import wabt from "wabt";
import { Assembly, WEIGHTS } from "../../../kernels/simd/assembler.ts";
import { memory, memoryLane, type MemoryLaneOp, plain } from "../../../kernels/simd/opcodes.ts";
import type { MemoryOp, PlainOp } from "../../../kernels/simd/opcodes.ts";
import { dump } from "../../../kernels/simd/dump.ts";

const tool = await wabt();
const features = { simd: true, relaxed_simd: true, threads: true, multi_memory: true };

/** The bytes that another assembler makes of our dump. */
function reassembled(text: string): Uint8Array {
  const module = tool.parseWat("dump.wat", text, features);
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}

/** The text that another disassembler makes of our bytes. */
function disassembled(bytes: Uint8Array): string {
  const module = tool.readWasm(bytes, features);
  try {
    return module.toText({});
  } finally {
    module.destroy();
  }
}

/** A module with one instruction, between two that make any stack fit. */
function oneInstruction(write: (f: ReturnType<Assembly["func"]>) => void): Uint8Array<ArrayBuffer> {
  const assembly = new Assembly();
  const f = assembly.func("f");
  f.op("unreachable");
  write(f);
  f.op("unreachable");
  return assembly.bytes();
}

/** Checks one instruction: valid, read as that name by wabt, and the same bytes from our dump. */
function checkInstruction(name: string, bytes: Uint8Array<ArrayBuffer>): void {
  assert(WebAssembly.validate(bytes), `${name} is not valid:\n${dump(bytes)}`);
  assertStringIncludes(disassembled(bytes), name);
  assertEquals(reassembled(dump(bytes)), bytes, name);
}

function names<T extends object>(table: T): (keyof T)[] {
  return Object.keys(table) as (keyof T)[];
}

describe("assembler", () => {
  it("encodes every plain instruction as wabt does", () => {
    for (const name of names(plain) as PlainOp[]) {
      if (name === "else" || name === "end") continue; // part of the blocks below
      checkInstruction(name, oneInstruction((f) => f.op(name)));
    }
  });

  it("encodes every load, store and lane instruction as wabt does", () => {
    for (const offset of [0, 127, 128, 70_000, 2 ** 31]) {
      for (const name of names(memory) as MemoryOp[]) {
        checkInstruction(name, oneInstruction((f) => f.at(name, offset)));
      }
      for (const name of names(memoryLane) as MemoryLaneOp[]) {
        checkInstruction(name, oneInstruction((f) => f.laneAt(name, 1, offset)));
      }
    }
  });

  it("encodes loads from a memory of weights as wabt does", () => {
    for (const offset of [0, 127, 70_000]) {
      const bytes = oneInstruction((f) => f.at("v128.load", offset, WEIGHTS));
      assert(WebAssembly.validate(bytes));
      const text = disassembled(bytes);
      assertStringIncludes(text, '(import "e" "1" (memory (;1;) 1 65536 shared))');
      assertStringIncludes(text, `v128.load 1${offset > 0 ? ` offset=${offset}` : ""} align=1`);
      assertThrows(() => dump(bytes), RangeError, "No memory is known but the first");
    }
  });

  it("encodes loads and stores of lanes in several memories as wabt does", () => {
    for (const shared of [false, true]) {
      const assembly = new Assembly(shared);
      const f = assembly.func("f").op("unreachable");
      f.at("v128.load", 8, 2).laneAt("v128.store32_lane", 3, 300, 1).op("unreachable");
      const bytes = assembly.bytes(), text = disassembled(bytes);
      assert(WebAssembly.validate(bytes));
      for (const [i, name] of ["1", "2"].entries()) {
        const memory = `(memory (;${i + 1};) 1 65536${shared ? " shared" : ""})`;
        assertStringIncludes(text, `(import "e" "${name}" ${memory})`);
      }
      assertStringIncludes(text, "v128.load 2 offset=8 align=1");
      assertStringIncludes(text, "v128.store32_lane 1 offset=300 align=1 3");
    }
  });

  it("encodes constants and shuffles as wabt does", () => {
    const edges = [0, 1, -1, 63, 64, -64, -65, 8191, 8192, -8192, -8193, 2 ** 20, 2 ** 31 - 1];
    for (const value of [...edges, -(2 ** 31)]) {
      checkInstruction(`i32.const ${value}`, oneInstruction((f) => f.const(value)));
    }
    const bytes = Uint8Array.from({ length: 16 }, (_, i) => 255 - i);
    checkInstruction("v128.const", oneInstruction((f) => f.vector(bytes)));
    checkInstruction(
      "i8x16.shuffle 4 5 6 7 28 29 30 31 0 1 2 3 16 17 18 19",
      oneInstruction((f) => f.shuffle([1, 7, 0, 4])),
    );
    checkInstruction(
      "i8x16.shuffle 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23",
      oneInstruction((f) => f.shuffle([1, 2])),
    );
  });

  it("encodes functions, locals, blocks and calls as wabt does", () => {
    const assembly = new Assembly();
    const first = assembly.func("first", ["i32", "f64"]);
    const [v, w] = first.locals("v128", 2);
    const many = first.locals("i32", 200);
    first.get(v).tee(w).set(v).advance(many[199], 16).advance(many[0], 0);
    first.loop(() => first.get(0).branchIf(0).get(0).if(() => first.advance(0, -4)));
    const second = assembly.func("second");
    const i = second.local("i32");
    second.repeat(i, 3, () => second.const(1).const(0).at("f64.load").call(first), 10, 5);
    second.repeat(i, 1, () => second.get(i).op("drop"));
    second.repeat(i, 0, () => second.op("unreachable"));
    const bytes = assembly.bytes();
    assert(WebAssembly.validate(bytes), dump(bytes));
    assertEquals(reassembled(dump(bytes)), bytes);
  });

  it("makes modules that run", () => {
    const assembly = new Assembly();
    const f = assembly.func("triangle", ["i32"]);
    const i = f.local("i32"), sum = f.local("i32");
    f.repeat(i, 10, () => f.get(sum).get(i).op("i32.add").set(sum), 1);
    f.get(0).get(sum).at("i32.store", 4);
    const m = new WebAssembly.Memory({ initial: 1 });
    const module = new WebAssembly.Module(assembly.bytes());
    const { triangle } = new WebAssembly.Instance(module, { e: { m } }).exports as {
      triangle(address: number): void;
    };
    triangle(8);
    assertEquals(new Int32Array(m.buffer)[3], 55);
  });
});

describe("dump()", () => {
  it("indents blocks and names every instruction", () => {
    const assembly = new Assembly();
    const f = assembly.func("f", ["i32"]);
    f.loop(() => f.get(0).branchIf(0));
    assertEquals(
      dump(assembly.bytes()),
      [
        "(module",
        '  (import "e" "m" (memory 1))',
        '  (func (export "f") (param i32)',
        "    loop",
        "      local.get 0",
        "      br_if 0",
        "    end",
        "  )",
        ")",
        "",
      ].join("\n"),
    );
  });

  it("refuses code that is not the assembler's", () => {
    const bytes = oneInstruction((f) => f.op("drop"));
    bytes[bytes.length - 3] = 0xd0; // ref.null
    assertThrows(() => dump(bytes), RangeError, "0xd0");
  });
});
