import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { fileURLToPath } from "node:url";
import { convConfigs, convConfigShape, convFamilies } from "../../codegen/configs.ts";
import { multiplyAdds } from "../../codegen/conv.ts";
import { runtimeSizes } from "../../codegen/expr.ts";
import { differences, repositoryFiles } from "../../codegen/main.ts";
import { FIRST_LINE } from "../../codegen/print.ts";
import {
  averagePoolSchedule,
  convSchedule,
  poolSchedule,
  STRAIGHT_LINE_CAP,
  straightLineSize,
} from "../../codegen/schedule.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Runs the generator's command. */
function codegen(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return codegenIn(root, ...args);
}

/** Runs the generator's command of a copy of the project. */
async function codegenIn(
  folder: string,
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", "codegen/main.ts", ...args],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** Copies a folder with all that is in it. */
async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const [source, target] = [`${from}/${name}`, `${to}/${name}`];
    await (isDirectory ? copy(source, target) : Deno.copyFile(source, target));
  }
}

/** Runs a program text as a file of its own, and gives what it prints. */
async function run(folder: string, text: string, ...options: string[]): Promise<string> {
  const path = `${folder}/program.ts`;
  await Deno.writeTextFile(path, text);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", ...options, path],
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

/** The multiply-adds that stand in a function. */
function countMultiplyAdds(body: string): number {
  return body.match(/(x\d+_\d+|\]) \* [wy]\d+_\d+/g)?.length ?? 0;
}

describe("the generator", () => {
  it("writes what stands in kernels/generated/kernels", async () => {
    assertEquals(await differences(`${root}kernels/generated/kernels`, repositoryFiles()), []);
  });
  it("is checked by a command whose exit code says whether a file differs", async () => {
    const folder = await Deno.makeTempDir();
    for (const part of ["codegen", "kernels", "nn", "page", "site", "tools"]) {
      await copy(`${root}${part}`, `${folder}/${part}`);
    }
    for (const file of ["deno.json", "deno.lock"]) {
      await Deno.copyFile(`${root}${file}`, `${folder}/${file}`);
    }
    const command = async (...args: string[]) => {
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", "--no-check", "--allow-all", `${folder}/codegen/main.ts`, ...args],
        cwd: folder,
        env: { NO_COLOR: "1" },
      }).output();
      return { code, err: new TextDecoder().decode(stderr) };
    };
    assertEquals(await command("--check"), { code: 0, err: "" });
    const [{ path, text }] = repositoryFiles();
    const changed = `${folder}/kernels/generated/kernels/${path}`;
    await Deno.writeTextFile(changed, `${text}\n`);
    const { code, err } = await command("--check");
    assertEquals(code, 1);
    assertMatch(err, new RegExp(`${path} differs\n.*deno task codegen`));
    assertEquals(await Deno.readTextFile(changed), `${text}\n`);
    assertEquals((await command()).code, 0);
    assertEquals(await Deno.readTextFile(changed), text);
    await Deno.remove(folder, { recursive: true });
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
        const found = countMultiplyAdds(body);
        assert(found <= STRAIGHT_LINE_CAP, `${path}: ${found} in ${body.slice(0, 40)}`);
      }
    }
  });
  it("refuses by at least as many multiply-adds as it writes", () => {
    for (const window of [...convFamilies, ...convConfigs.map(convConfigShape)]) {
      const schedule = convSchedule(window);
      const sizes = runtimeSizes();
      for (const pass of Object.values(schedule)) {
        assert(multiplyAdds(pass, sizes) <= straightLineSize(pass));
        assert(straightLineSize(pass) <= STRAIGHT_LINE_CAP);
      }
    }
  });
  it("says of each kernel its row, and of each pass its multiply-adds", () => {
    let kernels = 0;
    for (const { path, text } of repositoryFiles()) {
      const [first, command, test] = text.split("\n");
      assertEquals([first, command], [FIRST_LINE, "// Command: deno task codegen"]);
      assert(Deno.statSync(`${root}${test.replace("// Test: ", "")}`).isFile, test);
      if (!path.startsWith("conv_")) continue;
      const bodies = new Map(text.split(/^function /m).map((body) => [body.split("(")[0], body]));
      for (
        const [, doc, constant] of text.matchAll(/\/\*\*\n((?: \*.*\n)+?) \*\/\n(export .*[^;]*;)/g)
      ) {
        assertMatch(doc, /- row: conv(Configs|Families), /);
        for (const [, pass, name] of constant.matchAll(/^ {2}(\w+): (\w+),$/gm)) {
          const [, said] = doc.match(RegExp(`- ${pass}: .* (\\d+) multiply-adds`))!;
          const body = bodies.get(name)!.split("\n}\n")[0];
          assertEquals(Number(said), countMultiplyAdds(body), `${path} ${name}`);
        }
        kernels++;
      }
    }
    assertEquals(kernels, convConfigs.length + convFamilies.length);
  });
  it("refuses a kernel that V8 would not compile well", () => {
    const wide = { KH: 1, KW: 200, strideY: 1, strideX: 1, dilationY: 1, dilationX: 1 };
    const message = "at most 500 are compiled well";
    assertThrows(() => convSchedule(wide), RangeError, message);
    const large = { KH: 23, KW: 22, strideY: 1, strideX: 1, dilationY: 1, dilationX: 1 };
    assertThrows(() => poolSchedule(large), RangeError, message);
    assertThrows(() => averagePoolSchedule(large), RangeError, message);
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
    const constant = "conv_2x9x7_5x4x2_s2x1p1x0x2x1";
    assertEquals(made.out, `${folder}/${constant}.ts\n${folder}/index.ts\n`);
    const printed = await run(
      folder,
      `import { convBackward, convForward, explainConv, RandomState, relError, useKernels }
         from "${new URL("../../mod.ts", import.meta.url)}";
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
         from "${new URL("../../mod.ts", import.meta.url)}";
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
  it("writes dilated, grouped and depthwise kernels, which run once they are imported", async () => {
    const folder = await Deno.makeTempDir();
    const cases = [
      { x: [3, 9, 7], w: [2, 3, 4, 3], stride: 2, pad: 3, dilation: 2, groups: 1 },
      { x: [6, 9, 7], w: [4, 3, 2, 5], stride: 1, pad: 2, dilation: 1, groups: 2 },
      { x: [4, 11, 9], w: [4, 1, 5, 3], stride: 1, pad: 2, dilation: 2, groups: 4 },
    ];
    for (const [i, { x, w, ...params }] of cases.entries()) {
      const options = Object.entries(params).flatMap(([name, value]) => [`--${name}`, `${value}`]);
      const out = `${folder}/${i}`;
      const made = await codegen("--x", `${x}`, "--w", `${w}`, ...options, "--out", out);
      assertEquals(made.code, 0, made.err);
    }
    const printed = await run(
      folder,
      `import { assertConv } from "${new URL("../support/kernels.ts", import.meta.url)}";
       import { convShape } from "${new URL("../../kernels/shape.ts", import.meta.url)}";
       import { ask } from "${new URL("../../kernels/tier.ts", import.meta.url)}";
       import * as generatedTier from "${new URL(
        "../../kernels/generated/tier.ts",
        import.meta.url,
      )}";
       for (const [i, { x, w, ...params }] of ${JSON.stringify(cases)}.entries()) {
         await import(\`./\${i}/index.ts\`);
         const shape = convShape([1, ...x], w, params);
         const kernel = ask(generatedTier.conv, shape, "float64").kernel!;
         assertConv(kernel, shape, 2, "float64", "integers");
         console.log(kernel.name);
       }`,
      ...["--config", `${root}deno.json`, "--no-check"],
    );
    assertEquals(printed.split("\n"), [
      "conv-3x9x7-2x4x3-s2p3d2-generated",
      "conv-6x9x7-4x2x5-s1p2g2-generated",
      "conv-4x11x9-4x5x3-s1p2d2g4-generated",
    ]);
    await Deno.remove(folder, { recursive: true });
  });
  it("writes dilated max-pools and average pools, which run once they are imported", async () => {
    const folder = await Deno.makeTempDir();
    const cases = [
      ["--x", "2,9,8", "--pool", "2,3", "--dilation", "3,2", "--pad", "1", "--out", "0"],
      ["--x", "2,9,8", "--average", "3,4", "--stride", "2,1", "--pad", "1,2", "--out", "1"],
    ];
    for (const args of cases) {
      const made = await codegen(...args.slice(0, -1), `${folder}/${args.at(-1)}`);
      assertEquals(made.code, 0, made.err);
    }
    const printed = await run(
      folder,
      `import { assertAveragePool, assertMaxPool } from "${new URL(
        "../support/kernels.ts",
        import.meta.url,
      )}";
       import { averagePoolShape, poolShape } from "${new URL(
        "../../kernels/shape.ts",
        import.meta.url,
      )}";
       import { ask } from "${new URL("../../kernels/tier.ts", import.meta.url)}";
       import * as generatedTier from "${new URL(
        "../../kernels/generated/tier.ts",
        import.meta.url,
      )}";
       await import("./0/index.ts");
       await import("./1/index.ts");
       const x = [1, 2, 9, 8];
       const dilated = { poolHeight: 2, poolWidth: 3, stride: 1, dilation: [3, 2], pad: 1 };
       const shape = poolShape(x, dilated);
       const max = ask(generatedTier.maxPool, shape, "float32").kernel!;
       assertMaxPool(max, shape, 2, "float32", "integers");
       const params = { poolHeight: 3, poolWidth: 4, stride: [2, 1], pad: [1, 2] };
       const averageShape = averagePoolShape(x, params);
       const average = ask(generatedTier.averagePool, averageShape, "float64").kernel!;
       assertAveragePool(average, averageShape, 2, "float64", "reals");
       console.log(max.name);
       console.log(average.name);`,
      ...["--config", `${root}deno.json`, "--no-check"],
    );
    assertEquals(printed.split("\n"), [
      "maxpool-9x8-2x3-s1p1d3x2-generated",
      "averagepool-9x8-3x4-s2x1p1x2-generated",
    ]);
    await Deno.remove(folder, { recursive: true });
  });
  it("fails with --check where a kernel is not what would be written", async () => {
    const copy = await Deno.makeTempDir();
    const folders = ["codegen", "kernels", "page", "site", "tools"];
    const cp = ["-r", ...folders, "deno.json", "deno.lock", copy];
    assertEquals((await new Deno.Command("cp", { args: cp, cwd: root }).output()).code, 0);
    const check = () => codegenIn(copy, "--check");
    assertEquals(await check(), { code: 0, out: "", err: "" });
    const folder = `${copy}/kernels/generated/kernels`, path = `${folder}/conv_3x3.ts`;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replace("+=", "-="));
    const differs = "kernels/generated/kernels: conv_3x3.ts differs\nRun `deno task codegen`.\n";
    assertEquals(await check(), { code: 1, out: "", err: differs });
    // It only checks; without it the kernels are written anew.
    assertEquals(await Deno.readTextFile(path), text.replace("+=", "-="));
    assertEquals((await codegenIn(copy)).code, 0);
    assertEquals(await Deno.readTextFile(path), text);
    assertEquals(await check(), { code: 0, out: "", err: "" });
    await Deno.remove(copy, { recursive: true });
  });
  it("says how a kernel was made by a command that can be run again", async () => {
    const folder = await Deno.makeTempDir(), out = `${folder}/my "own" kernels`;
    const made = await codegen("--x", "1,5,5", "--w", "1,1,1,1", "--out", out);
    assertEquals(made.code, 0, made.err);
    const [, command] = (await Deno.readTextFile(`${out}/index.ts`)).split("\n");
    assertEquals(
      command,
      `// Command: deno task codegen --x 1,5,5 --w 1,1,1,1 --out ${JSON.stringify(out)}`,
    );
    await run(folder, `import ${JSON.stringify(`${out}/index.ts`)};`);
    await Deno.remove(folder, { recursive: true });
  });
  it("writes over its own files, but over no others", async () => {
    const folder = await Deno.makeTempDir();
    const args = ["--x", "1,5,5", "--w", "1,1,1,1", "--out", folder];
    assertEquals((await codegen(...args)).code, 0);
    assertEquals((await codegen(...args)).code, 0);
    await Deno.writeTextFile(`${folder}/index.ts`, "export {};\n");
    const { code, err } = await codegen(...args);
    assertEquals(code, 2);
    assertMatch(err, /^Error: \S+index.ts must be a generated file, or none: it would be lost\n$/);
    assertEquals(await Deno.readTextFile(`${folder}/index.ts`), "export {};\n");
    await Deno.remove(folder, { recursive: true });
  });
  it("rewrites no kernels of the library for options of one's own", async () => {
    const folder = `${root}kernels/generated/kernels`;
    const before = await Deno.stat(`${folder}/index.ts`);
    const options = ["--stride=1", "--pad=1", "--w=1,1,1,1", "--pool=2,2", "--module=m", "--out=o"];
    for (const { code, err } of await Promise.all(options.map((option) => codegen(option)))) {
      const message = "Error: --x C,H,W is missing\n";
      assertEquals([code, err], [2, message]);
    }
    const { ino, mtime } = await Deno.stat(`${folder}/index.ts`);
    assertEquals([ino, mtime], [before.ino, before.mtime]);
  });
  const mistakes: Record<string, [string[], RegExp]> = {
    "an unknown option": [["--bogus"], /bogus/],
    "neither filters nor a window": [["--x", "1,3,3", "--out", "o"], /give one of --w .*--pool/],
    "filters and a window": [
      ["--x", "1,3,3", "--w", "1,1,1,1", "--pool", "2,2", "--out", "o"],
      /give one of --w .*--pool/,
    ],
    "a line break in the folder": [
      ["--x", "1,3,3", "--w", "1,1,1,1", "--out", "o\nalert(1)//"],
      /--out must be a path in one line/,
    ],
    "a line separator in the module": [
      ["--x", "1,3,3", "--w", "1,1,1,1", "--out", "o", "--module", "m\u2028alert(1)"],
      /--module must be a path in one line/,
    ],
    "--check for a kernel of one's own": [
      ["--check", "--x", "1,3,3", "--w", "1,1,1,1", "--out", "o"],
      /--check is for kernels\/generated\/kernels\/ alone/,
    ],
    "a size that no array has": [
      ["--x", "60000,300,300", "--w", "1,60000,1,1", "--out", "o"],
      /must have fewer than 2\^31 numbers: \[60000,300,300\] has more/,
    ],
    "a size that is far too large": [
      ["--x", "1,3,1000000000", "--pool", "2,2", "--out", "o"],
      /--x takes whole numbers from 0 to 65536/,
    ],
    "a file in place of the folder": [
      ["--x", "1,3,3", "--w", "1,1,1,1", "--out", `${root}deno.json`],
      /deno.json cannot be written/,
    ],
    "a missing folder": [["--x", "1,2,3", "--w", "1,1,1,1"], /--out DIR is missing/],
    "sizes that are not numbers": [["--x", "a,2,3", "--w", "1,1,1,1", "--out", "o"], /--x .*a,2,3/],
    "too few sizes": [["--x", "2,3", "--w", "1,1,1,1", "--out", "o"], /--x takes C,H,W/],
    "channels that differ": [
      ["--x", "2,3,3", "--w", "1,1,1,1", "--out", "o"],
      /channels must match/,
    ],
    "groups that do not divide the channels": [
      ["--x", "3,3,3", "--w", "2,1,1,1", "--groups", "2", "--out", "o"],
      /groups must divide/,
    ],
    "groups of a pool": [
      ["--x", "3,3,3", "--pool", "2,2", "--groups", "3", "--out", "o"],
      /--groups is for convolutions/,
    ],
    "a dilated average pool": [
      ["--x", "3,3,3", "--average", "2,2", "--dilation", "1", "--out", "o"],
      /--dilation is for convolutions and max-pools/,
    ],
    "an image of more than 8 GB": [
      ["--x", "60000,100,179", "--pool", "2,2", "--out", "o"],
      /fewer than 1073741824 numbers/,
    ],
    "a kernel that is too large": [["--x", "1,3,3", "--w", "1,1,9,9", "--out", "o"], /larger/],
  };
  for (const [what, [args, message]] of Object.entries(mistakes)) {
    it(`refuses ${what} in one line and writes nothing`, async () => {
      const folder = await Deno.makeTempDir();
      const { code, err } = await codegen(
        ...args.map((a) => a.replace(/^o(?=$|\n)/, `${folder}/o`)),
      );
      assertEquals(code, 2);
      assertMatch(err, message);
      assertEquals(err.trim().split("\n").length, 1, err);
      assertEquals([...Deno.readDirSync(folder)], []);
      await Deno.remove(folder, { recursive: true });
    });
  }
});
