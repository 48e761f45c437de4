import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { fileURLToPath } from "node:url";
import { convConfigs, convFamilies } from "../codegen/configs.ts";
import { differences, repositoryFiles } from "../codegen/main.ts";
import {
  convSchedule,
  poolSchedule,
  STRAIGHT_LINE_CAP,
  straightLineSize,
} from "../codegen/schedule.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Runs the generator's command. */
async function codegen(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", `${root}codegen/main.ts`, ...args],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** Runs a program text as a file of its own, and gives what it prints. */
async function run(folder: string, text: string): Promise<string> {
  const path = `${folder}/program.ts`;
  await Deno.writeTextFile(path, text);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", path],
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

describe("the generator", () => {
  it("writes what stands in kernels/generated/kernels", async () => {
    assertEquals(await differences(`${root}kernels/generated/kernels`, repositoryFiles()), []);
  });
  it("finds a file that differs, one that is missing and one that is stray", async () => {
    const folder = await Deno.makeTempDir();
    const [first, second, ...rest] = repositoryFiles();
    for (const { path, text } of rest) await Deno.writeTextFile(`${folder}/${path}`, text);
    await Deno.writeTextFile(`${folder}/${first.path}`, first.text.replace("+=", "-="));
    await Deno.writeTextFile(`${folder}/stray.ts`, "");
    assertEquals(await differences(folder, repositoryFiles()), [
      `${first.path} differs`,
      `${second.path} is missing`,
      "stray.ts is not generated",
    ]);
    await Deno.remove(folder, { recursive: true });
  });
  it("keeps every function under the cap of straight-line code", () => {
    for (const { path, text } of repositoryFiles()) {
      for (const body of text.split(/^function /m).slice(1)) {
        const multiplyAdds = body.match(/(x\d+_\d+|\]) \* [wy]\d+_\d+/g)?.length ?? 0;
        assert(
          multiplyAdds <= STRAIGHT_LINE_CAP,
          `${path}: ${multiplyAdds} in ${body.slice(0, 40)}`,
        );
      }
    }
  });
  it("counts at least what it writes", () => {
    const schedules = [
      ...convFamilies,
      ...convConfigs.map(({ w: [, , KH, KW] }) => ({
        KH,
        KW,
        strideY: 1,
        strideX: 1,
        dilationY: 1,
        dilationX: 1,
      })),
    ].map(convSchedule);
    for (const schedule of schedules) {
      for (const pass of Object.values(schedule)) {
        assert(straightLineSize(pass) <= STRAIGHT_LINE_CAP);
      }
    }
  });
  it("refuses a kernel that V8 would not compile well", () => {
    const wide = { KH: 1, KW: 200, strideY: 1, strideX: 1, dilationY: 1, dilationX: 1 };
    const message = "at most 500 are compiled well";
    assertThrows(() => convSchedule(wide), RangeError, message);
    const large = { KH: 23, KW: 22, strideY: 1, strideX: 1, dilationY: 1, dilationX: 1 };
    assertThrows(() => poolSchedule(large), RangeError, message);
  });
});

describe("the generator's command", () => {
  it("writes a kernel for a user's own convolution, which runs once it is imported", async () => {
    const folder = await Deno.makeTempDir();
    const made = await codegen(
      ...["--x", "2,9,7", "--w", "5,2,4,2", "--stride", "2,1", "--pad", "1,0,2,1"],
      ...["--out", folder],
    );
    assertEquals(made.code, 0, made.err);
    const printed = await run(
      folder,
      `import { convBackward, convForward, explainConv, RandomState, relError, useKernels }
         from "${new URL("../mod.ts", import.meta.url)}";
       const shape = [[3, 2, 9, 7], [5, 2, 4, 2], { stride: [2, 1], pad: [1, 0, 2, 1] }] as const;
       using generated = useKernels("generated");
       console.log(explainConv(...shape).name);
       await import("./index.ts");
       console.log(explainConv(...shape).name);
       const random = new RandomState(5);
       const x = random.randn(shape[0]), w = random.randn(shape[1]), b = random.randn([5]);
       const results = () => {
         const { out, cache } = convForward(x, w, b, shape[2]);
         return { out, ...convBackward(out, cache) };
       };
       const fast = results();
       using naive = useKernels("naive");
       const slow = results();
       console.log(Object.keys(fast).every((key) =>
         relError(fast[key as keyof typeof fast], slow[key as keyof typeof slow]) < 1e-9));`,
    );
    const name = "conv-2x9x7-5x4x2-s2x1p1x0x2x1-generated";
    assertEquals(printed.split("\n"), ["conv-naive", name, "true"]);
    await Deno.remove(folder, { recursive: true });
  });
  it("writes a kernel for a user's own max-pool, which runs once it is imported", async () => {
    const folder = await Deno.makeTempDir();
    const made = await codegen("--x", "2,9,8", "--pool", "4,3", "--stride", "2", "--out", folder);
    assertEquals(made.code, 0, made.err);
    const printed = await run(
      folder,
      `import { explainMaxPool, maxPoolForward, RandomState, relError, useKernels }
         from "${new URL("../mod.ts", import.meta.url)}";
       await import("./index.ts");
       const poolParam = { poolHeight: 4, poolWidth: 3, stride: 2 };
       const x = new RandomState(5).randn([3, 2, 9, 8]);
       using generated = useKernels("generated");
       console.log(explainMaxPool(x.shape, poolParam).name);
       const fast = maxPoolForward(x, poolParam).out;
       using naive = useKernels("naive");
       console.log(relError(fast, maxPoolForward(x, poolParam).out));`,
    );
    assertEquals(printed.split("\n"), ["maxpool-9x8-4x3-s2-generated", "0"]);
    await Deno.remove(folder, { recursive: true });
  });
  const mistakes: Record<string, [string[], RegExp]> = {
    "an unknown option": [["--bogus"], /bogus/],
    "a missing folder": [["--x", "1,2,3", "--w", "1,1,1,1"], /--out DIR is missing/],
    "sizes that are no numbers": [["--x", "a,2,3", "--w", "1,1,1,1", "--out", "o"], /--x .*a,2,3/],
    "too few sizes": [["--x", "2,3", "--w", "1,1,1,1", "--out", "o"], /--x takes C,H,W/],
    "channels that differ": [
      ["--x", "2,3,3", "--w", "1,1,1,1", "--out", "o"],
      /channels must match/,
    ],
    "a kernel that is too large": [["--x", "1,3,3", "--w", "1,1,9,9", "--out", "o"], /larger/],
  };
  for (const [what, [args, message]] of Object.entries(mistakes)) {
    it(`refuses ${what} in one line and writes nothing`, async () => {
      const folder = await Deno.makeTempDir();
      const { code, err } = await codegen(...args.map((a) => a === "o" ? `${folder}/o` : a));
      assertEquals(code, 2);
      assertMatch(err, message);
      assertEquals(err.trim().split("\n").length, 1, err);
      assertEquals([...Deno.readDirSync(folder)], []);
      await Deno.remove(folder, { recursive: true });
    });
  }
});
