/**
 * Plants faults and runs the tests that should notice them: `deno task mutate --help`.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { flag, InputError, path, runCommand, SEEDS, type Values, whole } from "../options.ts";
import { areaOf, areas, excluded, testsOf } from "./areas.ts";
import { type Equivalent, withoutEquivalents } from "./equivalents.ts";
import { draw, hash, type Mutant, mutantsOf } from "./mutants.ts";
import { describeMutant, markdown, percent, scoreOf, scores, type Tried } from "./report.ts";
import { Copy, filesOf, type Outcome } from "./workers.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const about = "Plants faults one by one, and runs the tests of their area: which are noticed?";

/** The part of a sample that must be noticed: one of 20 is drawn with luck. */
const SAMPLE_SCORE = 0.7;

const options = {
  count: whole(300, [1, 100_000], "faults in all, drawn evenly over files"),
  seed: whole(231, SEEDS, "seed of the draw"),
  area: path("folders or files to draw from, separated by commas (default: all)"),
  workers: whole(1, [1, 64], "how many run side by side, each in a copy of the tree"),
  sample: whole(
    undefined,
    [1, 100_000],
    `draws this many and fails if under ${percent(SAMPLE_SCORE)} die`,
  ),
  report: path("a Markdown file for the scores and the survivors"),
  results: path("a file of results: what it holds of unchanged files is not run again"),
  list: flag("prints the faults that would be planted, and ends"),
};

/** A line of the results file. */
interface Result {
  readonly id: string;
  /** What the outcome depends on: the file for a fault that was noticed, its tests too for others. */
  readonly source: number;
  readonly tests: number;
  readonly outcome: Outcome;
}

interface Plan {
  readonly drawn: readonly Mutant[];
  readonly texts: ReadonlyMap<string, string>;
  readonly files: readonly string[];
  readonly equivalents: readonly Equivalent[];
  readonly stale: readonly Equivalent[];
}

/** Reads the tree and draws. */
async function plan(count: number, seed: number, where: string): Promise<Plan> {
  const files = await filesOf(root);
  const wanted = where.split(",").filter((part) => part !== "");
  const isWanted = (file: string) =>
    wanted.length === 0 || wanted.some((part) => file === part || file.startsWith(`${part}/`));
  const sources = files.filter((file) =>
    /(?<!_test|\.d)\.ts$/.test(file) && areaOf(file) !== undefined &&
    !excluded.some((pattern) => pattern.test(file))
  );
  const texts = new Map<string, string>();
  for (const file of sources) texts.set(file, await Deno.readTextFile(`${root}/${file}`));
  const all = sources.flatMap((file) => mutantsOf(file, texts.get(file)!));
  const equivalents: readonly Equivalent[] = JSON.parse(
    await Deno.readTextFile(new URL("./equivalent.json", import.meta.url)),
  );
  const { counted, stale } = withoutEquivalents(all, equivalents);
  const drawn = draw(counted.filter(({ file }) => isWanted(file)), count, seed);
  if (drawn.length === 0) throw new InputError(`--area "${where}" holds no code to mutate`);
  return { drawn, texts, files, equivalents, stale };
}

/** Results of an earlier run, by fault; the last line of each counts. */
async function readResults(file: string | undefined): Promise<Map<string, Result>> {
  if (file === undefined) return new Map();
  const lines = await Deno.readTextFile(file).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  const results = lines.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  return new Map(results.map((result: Result) => [result.id, result]));
}

async function main(values: Values<typeof options>): Promise<number> {
  const { seed, workers, area = "", sample, report, results: resultsFile } = values;
  const count = sample ?? values.count;
  const { drawn, texts, files, equivalents, stale } = await plan(count, seed, area);
  for (const { file, snippet } of stale) {
    console.log(`equivalent.json is about a line that is gone: ${file}: ${snippet}`);
  }
  if (values.list) {
    for (const mutant of drawn) console.log(describeMutant(mutant));
    return 0;
  }

  const testFiles = files.filter((file) => file.startsWith("tests/") && file.endsWith("_test.ts"));
  const testText = new Map<string, string>();
  for (const file of testFiles) testText.set(file, await Deno.readTextFile(`${root}/${file}`));
  const known = await readResults(resultsFile);
  const tried: Tried[] = [];
  const start = performance.now();

  /** What is known of a fault, if nothing has changed that its outcome depends on. */
  function recall(mutant: Mutant, source: number, tests: number): Outcome | undefined {
    const result = known.get(mutant.id);
    if (result === undefined || result.source !== source) return undefined;
    return result.outcome === "survived" && result.tests !== tests ? undefined : result.outcome;
  }

  /** How long a test file may take: some times what it takes without a fault, which must pass. */
  const limits = new Map<string, Promise<number>>();
  const sound = await Copy.of(root, files);
  function limitOf(test: string): Promise<number> {
    const run = async () => {
      const { outcome, seconds } = await sound.test(test, 600);
      if (outcome === "passed") return 8 + 4 * seconds;
      throw new InputError(`${test} must pass before faults are planted`);
    };
    if (!limits.has(test)) limits.set(test, run());
    return limits.get(test)!;
  }

  async function tryOne(copy: Copy, mutant: Mutant): Promise<void> {
    const tests = testsOf(mutant.file, testFiles);
    const source = hash(texts.get(mutant.file)!, 0);
    const testsHash = hash(tests.map((test) => testText.get(test)).join(), 0);
    const begun = performance.now();
    let outcome = recall(mutant, source, testsHash), took = "known";
    if (outcome === undefined) {
      outcome = await copy.try(mutant, tests, limitOf);
      took = `${((performance.now() - begun) / 1000).toFixed(1)} s`;
      const result: Result = { id: mutant.id, source, tests: testsHash, outcome };
      if (resultsFile !== undefined) {
        await Deno.writeTextFile(resultsFile, `${JSON.stringify(result)}\n`, { append: true });
      }
    }
    tried.push({ mutant, outcome });
    const place = `${tried.length}`.padStart(`${drawn.length}`.length);
    const columns = [`[${place}/${drawn.length}]`, outcome.padEnd(8), took.padStart(7)];
    console.log(`${columns.join(" ")} ${describeMutant(mutant)}`);
  }

  const queue = [...drawn];
  async function work(): Promise<void> {
    const copy = await Copy.of(root, files);
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        await tryOne(copy, next);
      }
    } finally {
      queue.length = 0;
      await copy.remove();
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(workers, drawn.length) }, work));
  } finally {
    await sound.remove();
  }

  for (const { area, total, killed, timeouts, survived, score } of scores(tried)) {
    const parts = `${killed} killed, ${timeouts} timed out, ${survived} survived`;
    console.log(`${area.padEnd(14)} ${percent(score).padStart(7)} of ${total}: ${parts}`);
  }
  if (report !== undefined) {
    const minutes = ((performance.now() - start) / 60_000).toFixed(1);
    const from = area === "" ? areas.map(({ folder }) => folder).join(", ") : area;
    const how = `${drawn.length} faults drawn with seed ${seed} from ${from}, ${minutes} minutes.`;
    await Deno.writeTextFile(report, markdown(tried, texts, equivalents, how));
  }
  if (sample === undefined) return 0;
  const { score } = scoreOf("sample", tried);
  if (score >= SAMPLE_SCORE) return 0;
  console.log(`Of a sample, ${percent(SAMPLE_SCORE)} must be noticed: ${percent(score)} are.`);
  return 1;
}

await runCommand({ usage: "deno task mutate", about, options }, main);
