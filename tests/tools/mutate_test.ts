import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { areaOf, areas, excluded, testsOf } from "../../tools/mutate/areas.ts";
import { withoutEquivalents } from "../../tools/mutate/equivalents.ts";
import { draw, hash, type Mutant, mutantsOf, mutate, parses } from "../../tools/mutate/mutants.ts";
import { describeMutant, diffOf, markdown, percent, scores } from "../../tools/mutate/report.ts";
import { filesOf } from "../../tools/mutate/workers.ts";

const root = new URL("../../", import.meta.url).pathname;

/** A file's mutants as "from -> to", in order. */
const changes = (text: string) => mutantsOf("a.ts", text).map(({ from, to }) => `${from} -> ${to}`);

describe("mutantsOf()", () => {
  it("swaps operators, but not where text is joined", () => {
    assertEquals(changes("f = a + b * c;"), ["f = a + b * c; -> ;", "+ -> -", "* -> /"]);
    assertEquals(changes("const b = a <= c && d ?? e;"), ["?? -> &&", "&& -> ||", "<= -> <"]);
    assertEquals(changes("let i = 5; i++;"), ["5 -> (5 + 1)", "i++; -> ;", "i++ -> i--"]);
    assertEquals(changes("const t = 'a' + b + `c`;"), []);
    assertEquals(changes("const f = (x: 1 | 0) => --x;"), ["--x -> ++x"]);
  });

  it("changes constants and negations, and leaves strings and types alone", () => {
    assertEquals(changes("const a = [0, 1.5, true, 'x'];"), [
      "0 -> 1",
      "1.5 -> (1.5 + 1)",
      "true -> false",
    ]);
    assertEquals(changes("const a = !b, c = -d, e = -1;"), [
      "!b -> b",
      "-d -> d",
      "1 -> (1 + 1)",
    ]);
    assertEquals(changes("import a from '1'; type T = 1 | 2; interface I { a: 3 }"), []);
  });

  it("decides conditions, and never writes an endless loop", () => {
    assertEquals(changes("if (a) b();"), ["a -> true", "a -> false", "b(); -> ;"]);
    assertEquals(changes("const c = a ? b : d;"), ["a -> true", "a -> false"]);
    assertEquals(changes("while (a) b();"), ["a -> false", "b(); -> ;"]);
    assertEquals(changes("for (; a; i++) b();"), ["a -> false", "b(); -> ;"]);
    assertEquals(changes("for (;;) break;"), ["break; -> ;"]);
  });

  it("removes statements, and leaves messages alone", () => {
    assertEquals(changes("throw new Error(`${a + 1}`);"), ["throw new Error(`${a + 1}`); -> ;"]);
    assertEquals(changes("function f() { if (a) return; return b; }"), [
      "a -> true",
      "a -> false",
      "return; -> ;",
    ]);
  });

  it("writes the change into the text, and says where", () => {
    const text = "// A\n  const b = c < 3;\n";
    const [mutant] = mutantsOf("x/a.ts", text);
    assertEquals(mutate(text, mutant), "// A\n  const b = c <= 3;\n");
    assertEquals([mutant.line, mutant.snippet], [2, "const b = c < 3;"]);
    assertEquals(describeMutant(mutant), "x/a.ts:2 < -> <= in const b = c < 3;");
    assertEquals(diffOf(mutant, text), "@@ 2 @@\n-  const b = c < 3;\n+  const b = c <= 3;");
  });

  it("numbers changes that read alike, and keeps their names when lines move", () => {
    const ids = (text: string) => mutantsOf("a.ts", text).map(({ id }) => id);
    const [one, two] = ids("a < b;\na < b;").filter((id) => id.includes("|<|"));
    assert(one !== two);
    assertEquals(ids("\n\na < b;"), ids("a < b;"));
  });
});

describe("parses()", () => {
  it("knows TypeScript from what is none", () => {
    assertEquals(parses("const a: number = b! as 3;"), true);
    assertEquals(parses("const a = = 3;"), false);
  });
});

describe("draw()", () => {
  const files = ["a.ts", "b.ts", "c.ts"];
  const all = files.flatMap((file, i) =>
    mutantsOf(file, Array.from({ length: 4 * i + 3 }, (_, n) => `f${n}(a < ${n});`).join("\n"))
  );
  const counts = (drawn: readonly Mutant[]) =>
    files.map((name) => drawn.filter(({ file }) => file === name).length);

  it("takes as many of each file, as long as there are any", () => {
    assertEquals(counts(draw(all, 9, 1)), [3, 3, 3]);
    assertEquals(draw(all, 1000, 1).length, all.length);
    assertEquals(new Set(draw(all, 1000, 1)).size, all.length);
    assertEquals(draw([], 3, 1), []);
  });

  it("depends on the seed, and on nothing else", () => {
    const ids = (mutants: readonly Mutant[]) => mutants.map(({ id }) => id);
    assertEquals(ids(draw(all, 9, 1)), ids(draw(all.toReversed(), 9, 1)));
    assert(ids(draw(all, 9, 1)).join() !== ids(draw(all, 9, 2)).join());
  });

  it("spreads over the whole range", () => {
    const tenths = Array(10).fill(0);
    for (let i = 0; i < 1000; i++) tenths[Math.floor(hash(`line ${i}`, 5) / 2 ** 32 * 10)]++;
    for (const count of tenths) assert(count > 60 && count < 140, tenths.join());
  });
});

describe("withoutEquivalents()", () => {
  const mutants = mutantsOf("a.ts", "const b = c < 3;");

  it("leaves out what an entry covers", () => {
    const entry = { file: "a.ts", snippet: "const b = c < 3;", reason: "it is so" };
    assertEquals(withoutEquivalents(mutants, [entry]).counted, []);
    const one = { ...entry, from: "<", to: "<=" };
    assertEquals(withoutEquivalents(mutants, [one]).counted.map(({ from }) => from), ["3"]);
    assertEquals(withoutEquivalents(mutants, [one]).stale, []);
  });

  it("tells entries that cover nothing any more", () => {
    for (const change of [{ file: "b.ts" }, { snippet: "c" }, { from: ">" }, { to: "4" }]) {
      const entry = { file: "a.ts", snippet: "const b = c < 3;", reason: "it is so", ...change };
      const { counted, stale } = withoutEquivalents(mutants, [entry]);
      assertEquals([counted.length, stale], [2, [entry]]);
    }
  });
});

describe("The table of areas", () => {
  const table = [{ folder: "a", tests: ["x", "y"] }, { folder: "a/b", tests: ["z"] }];
  const testFiles = ["x", "y", "z", "own"].map((name) => `tests/sub/${name}_test.ts`);

  it("gives a file the area of the longest folder, and its own test first", () => {
    assertEquals(areaOf("a/b/c.ts", table)?.folder, "a/b");
    assertEquals(areaOf("a/bc.ts", table)?.folder, "a");
    assertEquals(areaOf("b/c.ts", table), undefined);
    assertEquals(testsOf("a/y.ts", testFiles, table), [
      "tests/sub/y_test.ts",
      "tests/sub/x_test.ts",
    ]);
    assertEquals(testsOf("a/b/own.ts", testFiles, table), [
      "tests/sub/own_test.ts",
      "tests/sub/z_test.ts",
    ]);
  });

  it("refuses files without an area and tests that do not exist", () => {
    assertThrows(() => testsOf("b/c.ts", testFiles, table), RangeError, "No area holds b/c.ts");
    assertThrows(() => testsOf("a/c.ts", [], table), RangeError, "There is no x_test.ts for a");
  });

  it("holds every source file of the library and names tests that exist", async () => {
    const files = await filesOf(root);
    const tests = files.filter((file) => file.endsWith("_test.ts"));
    for (const { folder } of areas) {
      assert(files.some((file) => file.startsWith(`${folder}/`)), `${folder} is empty`);
      assert(testsOf(`${folder}/any.ts`, tests).length > 0);
    }
    const isCode = (file: string) => /^(nn|kernels|codegen)\/.*\.ts$/.test(file);
    assertEquals(files.filter((file) => isCode(file) && areaOf(file) === undefined), []);
    for (const pattern of excluded) assert(files.some((file) => pattern.test(file)), `${pattern}`);
  });

  it("comes with reasons for every fault that is not counted", async () => {
    const path = new URL("../../tools/mutate/equivalent.json", import.meta.url);
    const entries = JSON.parse(await Deno.readTextFile(path));
    for (const entry of entries) {
      const { file, snippet, reason } = entry;
      assert(reason.length > 20, `${file}: ${snippet}`);
      const mutants = mutantsOf(file, await Deno.readTextFile(`${root}/${file}`));
      assertEquals(withoutEquivalents(mutants, [entry]).stale, []);
    }
  });
});

describe("The report", () => {
  const text = "const b = c < 3;\nif (b) d();\n";
  const [first, second, third, fourth] = mutantsOf("nn/a.ts", text);
  const other = mutantsOf("codegen/b.ts", "f();")[0];
  const tried = [
    { mutant: first, outcome: "survived" },
    { mutant: second, outcome: "killed" },
    { mutant: third, outcome: "timeout" },
    { mutant: fourth, outcome: "invalid" },
    { mutant: other, outcome: "killed" },
  ] as const;

  it("counts a time-out as noticed, and leaves out what is not TypeScript", () => {
    assertEquals(scores(tried), [
      { area: "codegen", total: 1, killed: 1, timeouts: 0, survived: 0, score: 1 },
      { area: "nn", total: 3, killed: 1, timeouts: 1, survived: 1, score: 2 / 3 },
      { area: "all", total: 4, killed: 2, timeouts: 1, survived: 1, score: 3 / 4 },
    ]);
    assertEquals(percent(2 / 3), "66.7 %");
    assertEquals(scores([]), [
      { area: "all", total: 0, killed: 0, timeouts: 0, survived: 0, score: 1 },
    ]);
  });

  it("shows the survivors and the reasons", () => {
    const entry = { file: "nn/a.ts", snippet: "x < y", from: "<", reason: "x is never y" };
    const report = markdown(tried, new Map([["nn/a.ts", text]]), [entry], "4 faults.");
    assertStringIncludes(report, "| nn | 3 | 1 | 1 | 1 | 66.7 % |");
    assertStringIncludes(report, "## Survivors: 1\n\n### nn/a.ts:1\n\n```diff\n@@ 1 @@\n-const b");
    assertStringIncludes(report, "- nn/a.ts: `x < y` (`<` -> `anything`): x is never y");
  });
});
