/**
 * What the table of whole calls does not show: the cost of a small call, of a first call, of the code.
 *
 * @module
 */

import { convForward, explainConv, RandomState } from "../../mod.ts";
import { V8_FLAGS } from "../vector_pairs.ts";
import { workloads } from "./peer.ts";

const { pathname: root } = new URL("../../", import.meta.url);

/** Microseconds of a call, the least of many short rounds: what is left when nothing disturbs it. */
function microseconds(call: () => void): number {
  const ROUND = 2, BUDGET = 500;
  let best = Infinity;
  const end = performance.now() + BUDGET;
  while (performance.now() < end) {
    let calls = 0, now = 0;
    const start = performance.now();
    do {
      call();
      calls++;
      now = performance.now();
    } while (now < start + ROUND);
    best = Math.min(best, (now - start) * 1000 / calls);
  }
  return best;
}

/** x(1,3,8,8) w(4,3,3,3): a whole call beside one more image in a batch, which costs the kernel alone. */
export function smallCall(): string[][] {
  const rows = [[
    "small call, us",
    "kernel",
    "one image",
    "per image of 100",
    "overhead of a call",
  ]];
  for (const dtype of ["float32", "float64"] as const) {
    const random = new RandomState(231);
    const w = random.randn([4, 3, 3, 3], dtype), b = random.randn([4], dtype);
    const time = (N: number) => {
      const x = random.randn([N, 3, 8, 8], dtype);
      return microseconds(() => void convForward(x, w, b, { stride: 1, pad: 1 }));
    };
    const one = time(1), image = time(100) / 100;
    const { name } = explainConv([1, 3, 8, 8], [4, 3, 3, 3], { stride: 1, pad: 1 }, dtype);
    rows.push([dtype, name, ...[one, image, one - image].map((us) => us.toFixed(2))]);
  }
  return rows;
}

/**
 * The first call of each shape with one image, in a process of its own, and after another shape's.
 *
 * @param isPaired Whether these run on pairs of vectors, as this process does.
 */
export async function coldCalls(isPaired: boolean): Promise<string[][]> {
  const rows = [[
    "first call of one image, ms",
    "dtype",
    "fwd, fresh process",
    "bwd, fresh process",
    "fwd, later shape",
    "bwd, later shape",
  ]];
  const script = new URL("cold.ts", import.meta.url).pathname;
  const flags = isPaired ? [`--v8-flags=${V8_FLAGS}`] : [], pairs = isPaired ? ["pairs"] : [];
  for (const { name } of workloads) {
    for (const dtype of ["float32", "float64"]) {
      const run = async (...more: string[]) => {
        const args = ["run", "--no-lock", "-A", ...flags, script, name, dtype, ...pairs, ...more];
        const { stdout } = await new Deno.Command(Deno.execPath(), { args, stderr: "inherit" })
          .output();
        return (JSON.parse(new TextDecoder().decode(stdout)) as number[]).map((ms) =>
          ms.toFixed(2)
        );
      };
      rows.push([name, dtype, ...await run(), ...await run("warm")]);
    }
  }
  return rows;
}

/** mod.ts bundled, minified and gzipped, with the generated kernels and without. */
export async function bundleSizes(): Promise<string[][]> {
  const rows = [["mod.ts in one file", "minified, KB", "gzip, KB"]];
  const directory = await Deno.makeTempDir();
  try {
    const none = `${directory}/none.ts`;
    await Deno.writeTextFile(
      none,
      "export const generatedConvs: never[] = [], generatedPools: never[] = [];",
    );
    const importMap = `${directory}/import_map.json`;
    const imports = { [`file://${root}kernels/generated/kernels/index.ts`]: `file://${none}` };
    await Deno.writeTextFile(importMap, JSON.stringify({ imports }));
    const variants = { all: [], "without kernels/generated": ["--import-map", importMap] };
    for (const [title, more] of Object.entries(variants)) {
      const output = `${directory}/bundle.js`;
      const { success, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["bundle", "--minify", ...more, "-o", output, `${root}mod.ts`],
      }).output();
      if (!success) throw new Error(new TextDecoder().decode(stderr));
      const bytes = await Deno.readFile(output);
      const gzip = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
      const zipped = (await new Response(gzip).arrayBuffer()).byteLength;
      rows.push([title, ...[bytes.length, zipped].map((size) => (size / 1000).toFixed(1))]);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  return rows;
}
