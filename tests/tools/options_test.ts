import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  flag,
  helpText,
  InputError,
  matching,
  number,
  numbers,
  odd,
  type Option,
  path,
  readArguments,
  SEEDS,
  sizes,
  whole,
  word,
  words,
} from "../../tools/options.ts";
import { run } from "../support/command.ts";

/** What an option makes of a text. */
function read<T>(option: Option<T>, text: string): T {
  const command = { usage: "", about: "", options: { name: option } };
  return readArguments(command, [`--name=${text}`])!.values.name;
}

function refused(option: Option<unknown>, text: string, message: string): void {
  assertThrows(() => read(option, text), InputError, `--name ${message}`);
}

describe("readArguments()", () => {
  it("reads numbers within their bounds, both ends among them", () => {
    const size = whole(5, [1, 8], ""), rate = number(0.5, [0, 1], "");
    assertEquals([read(size, "1"), read(size, "8"), read(rate, "0"), read(rate, "1")], [
      1,
      8,
      0,
      1,
    ]);
    const message = "must be a whole number from 1 to 8: received";
    for (const text of ["0", "9", "2.5", "", " ", "1e9", "Infinity", "NaN", "two"]) {
      refused(size, text, `${message} "${text}"`);
    }
    for (const text of ["-0.1", "1.1", "Infinity", "NaN", ""]) {
      refused(rate, text, `must be a number from 0 to 1: received "${text}"`);
    }
    assertEquals(read(whole(0, SEEDS, ""), "4294967295"), 2 ** 32 - 1);
    refused(whole(0, SEEDS, ""), "4294967296", "must be a whole number from 0 to 4294967295");
  });

  it("reads odd numbers", () => {
    assertEquals(read(odd(3, [1, 9], ""), "9"), 9);
    for (const text of ["4", "0", "11", "-1", "3.5"]) {
      refused(odd(3, [1, 9], ""), text, "must be an odd number from 1 to 9");
    }
  });

  it("reads sizes in one of their forms", () => {
    const pair = sizes(["S", "Y,X"], 100, "");
    assertEquals([read(pair, "7"), read(pair, "0,100")], [[7], [0, 100]]);
    refused(pair, "1,2,3", 'takes S, or Y,X: received "1,2,3"');
    for (const text of ["", "1,", "a", "1.5", "-1", "101", "1e9"]) {
      refused(pair, text, "takes whole numbers from 0 to 100, separated by commas: received");
    }
  });

  it("reads any numbers, separated by commas", () => {
    assertEquals(read(numbers(""), "7"), [7]);
    assertEquals(read(numbers(""), "-1.5, 2e3,0"), [-1.5, 2000, 0]);
    for (const text of ["", "1,", "a", "1;2", "Infinity", "NaN"]) {
      refused(numbers(""), text, `takes numbers, separated by commas: received "${text}"`);
    }
  });

  it("reads words, lists of them, and parts of them", () => {
    const known = ["one", "two", "three"] as const;
    assertEquals(read(word("one", known, ""), "two"), "two");
    refused(word("one", known, ""), "four", 'must be one of one, two, three: received "four"');
    assertEquals(read(words(known, ""), "three,one"), ["three", "one"]);
    refused(words(known, ""), "one,", 'must be one of one, two, three: received ""');
    assertEquals(read(matching(known, ""), "t,on"), ["one", "two", "three"]);
    assertEquals(read(matching(known, ""), "th"), ["three"]);
    refused(matching(known, ""), "th,x", 'must be a part of one, two, three: received "x"');
    refused(matching(known, ""), "", 'must be a part of one, two, three: received ""');
  });

  it("reads paths of one line", () => {
    assertEquals(read(path(""), "a b/ä"), "a b/ä");
    for (const text of ["", "a\nb", "a\rb", "a\u2028b", "\0", "\x1b[2J"]) {
      refused(path(""), text, `must be a path in one line: received ${JSON.stringify(text)}`);
    }
  });

  it("gives what was left out its value, and takes no words beside options that it does not know", () => {
    const options = { size: whole(5, [1, 8], ""), quick: flag(""), to: path("") };
    const command = { usage: "", about: "", options };
    const values = { size: 5, quick: false, to: undefined };
    assertEquals(readArguments(command, []), { values, operands: [] });
    assertEquals(readArguments(command, ["--quick"])!.values.quick, true);
    assertEquals(readArguments(command, ["--quick", "-h"]), undefined);
    const attempt = (...args: string[]) => () => readArguments(command, args);
    assertThrows(attempt("--sise", "5"), InputError, "Unknown option '--sise' (see --help)");
    assertThrows(attempt("--size"), InputError, "--size");
    assertThrows(attempt("--quick=5"), InputError, "--quick");
    assertThrows(attempt("word"), InputError, "word");
    const operands = ["one", "two"];
    assertEquals(readArguments({ ...command, operands }, ["two"])!.operands, ["two"]);
    const any = { ...command, operands: "any" } as const;
    assertEquals(readArguments(any, ["a.png", "--quick", "b.png"])!.operands, ["a.png", "b.png"]);
    assertThrows(
      () => readArguments({ ...command, operands }, ["three"]),
      InputError,
      'An argument must be one of one, two: received "three"',
    );
  });

  it("prints each option in its help, with its default", () => {
    const options = {
      size: whole(5, [1, 8], "how large"),
      quick: flag("hurry"),
      to: path("where"),
    };
    assertEquals(
      helpText({ usage: "deno task x", about: "Does x.", options }),
      "Does x.\n\nUsage: deno task x [options]\n\n" +
        "  --size   how large (5)\n  --quick  hurry\n  --to     where\n  --help   print this",
    );
  });
});

/** The scripts of deno.json's tasks, and the tasks' names. */
async function taskScripts(): Promise<(readonly [script: string, task: string])[]> {
  const text = await Deno.readTextFile(new URL("../../deno.json", import.meta.url));
  const { tasks } = JSON.parse(text.replaceAll(/^ *\/\/.*$/gm, ""));
  return Object.entries<{ command: string }>(tasks)
    .map(([task, { command }]) => [command.split(" ").at(-1)!, task] as const)
    .filter(([script]) => script.endsWith(".ts"));
}

const scripts = await taskScripts();

describe("every task that is a program of ours", () => {
  for (const [script, task] of scripts) {
    it(`tells its options and refuses others: ${task}`, async () => {
      const [help, wrong] = await Promise.all([run(script, ["--help"]), run(script, ["--bogus"])]);
      assertEquals([help.code, help.stderr], [0, ""]);
      assertMatch(
        help.stdout,
        new RegExp(`\nUsage: deno task ${task} .*\n\n(  --[a-z-]+ +\\S.*\n)+$`),
      );
      assertEquals([wrong.code, wrong.stdout], [2, ""]);
      assertEquals(wrong.stderr, "Error: Unknown option '--bogus' (see --help)\n");
    });
  }

  it("is among them", () => {
    const tasks = scripts.map(([, task]) => task);
    for (const task of ["train", "cifar10", "codegen", "notebooks", "bench:peers"]) {
      assert(tasks.includes(task), task);
    }
  });
});
