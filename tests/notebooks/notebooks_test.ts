import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { fileURLToPath } from "node:url";
import { exerciseOf, join, type Notebook, withoutSolutions } from "../../notebooks/exercises.ts";
import { runByUrl } from "../support/by_url.ts";

const folder = fileURLToPath(new URL("../../notebooks", import.meta.url));
const names = ["CNN-BatchNorm.ipynb", "CNN-Layers.ipynb", "CNN.ipynb"];

async function read(name: string): Promise<Notebook> {
  return JSON.parse(await Deno.readTextFile(`${folder}/${name}`));
}

/** The code of a notebook's cells. */
function codeOf({ cells }: Notebook): string[] {
  return cells.filter((cell) => cell.cell_type === "code").map((cell) => join(cell.source));
}

/** A notebook as jupyter-nbconvert's HTML; undefined, with the reason printed, where there is none. */
async function htmlOf(name: string): Promise<string | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command("jupyter-nbconvert", {
      args: ["--to=html", "--stdout", `${folder}/${name}`],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log(`Skipped as jupyter-nbconvert does not run: ${error.message}`);
    return undefined;
  }
}

/** Runs code in a temporary file of this project, with its imports made absolute. */
async function run(code: string, beside: URL): Promise<{ success: boolean; stderr: string }> {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const text = code.replace(/from "(\.[^"]*)"/g, (_, to) => `from "${new URL(to, beside)}"`);
    await Deno.writeTextFile(path, text);
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", "--no-lock", path],
      env: { NO_COLOR: "1" },
    }).output();
    return { success, stderr: new TextDecoder().decode(stderr) };
  } finally {
    await Deno.remove(path);
  }
}

describe("withoutSolutions()", () => {
  it("leaves a TODO and a statement that throws", () => {
    const code = 'import { a } from "../mod.ts";\nimport { b } from "./show.ts";\n' +
      "function f() {\n  // BEGIN SOLUTION: add\n  const c = a + b;\n  return c;\n" +
      "  // END SOLUTION\n}\nf();";
    const exercise = 'import { a } from "../../mod.ts";\nimport { b } from "../show.ts";\n' +
      'function f() {\n  // TODO: add\n  throw new Error("TODO");\n}\nf();';
    assertEquals(withoutSolutions(code), exercise);
  });
  it("takes out several solutions", () => {
    const solution = "// BEGIN SOLUTION: x\nsecret();\n// END SOLUTION";
    const code = withoutSolutions(`${solution}\nkept();\n${solution}`);
    assertEquals(
      code,
      '// TODO: x\nthrow new Error("TODO");\nkept();\n// TODO: x\nthrow new Error("TODO");',
    );
  });
  it("refuses a solution without its other comment, or without a task", () => {
    const wrong = [
      "// BEGIN SOLUTION: x\nsecret();",
      "secret();\n// END SOLUTION",
      "// BEGIN SOLUTION\nsecret();\n// END SOLUTION",
      "// BEGIN SOLUTION: x\n// BEGIN SOLUTION: y\nsecret();\n// END SOLUTION",
    ];
    for (const code of wrong) assertThrows(() => withoutSolutions(code), SyntaxError, "SOLUTION");
  });
});

for (const name of names) {
  describe(name, () => {
    it("has an exercise that is the notebook without its solutions", async () => {
      const solved = await read(name), exercise = await read(`exercises/${name}`);
      assertEquals(exercise, exerciseOf(name, solved));
      const solutions = codeOf(solved).join("\n").split("// BEGIN SOLUTION").length - 1;
      assert(solutions >= 3, `${solutions} solutions`);
      assertEquals(
        codeOf(exercise).join("\n").split('throw new Error("TODO")').length - 1,
        solutions,
      );
    });
    it("has an exercise that runs up to its first TODO", async () => {
      const code = codeOf(await read(`exercises/${name}`));
      const beside = new URL(`../../notebooks/exercises/${name}`, import.meta.url);
      const { success, stderr } = await run(code.map((cell) => `${cell}\n`).join("\n"), beside);
      assert(!success);
      assertMatch(stderr, /error: Uncaught \(in promise\) Error: TODO|error: Uncaught Error: TODO/);
    });
    it("shows its figures as PNG", async () => {
      const outputs = (await read(name)).cells.flatMap(({ outputs = [] }) => outputs);
      const shown = outputs.filter(({ data }) => data !== undefined);
      assert(shown.length > 0);
      const kinds = shown.map(({ data }) => Object.keys(data!).sort());
      assertEquals(kinds, shown.map(() => ["image/png", "text/plain"]));
      const html = await htmlOf(name);
      const images = html?.split('<img src="data:image/png;base64,').length;
      assertEquals(images ?? shown.length + 1, shown.length + 1);
    });
  });
}

describe("A notebook without a clone of the repository", () => {
  it("imports by URL all that it needs, MNIST's digits too", async () => {
    // The packages are those that this machine has; what comes from the URL is fetched.
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] })
      .output();
    const { npmCache } = JSON.parse(new TextDecoder().decode(stdout));
    const cache = await Deno.makeTempDir();
    await Deno.symlink(npmCache, `${cache}/npm`);
    try {
      for (const name of names) {
        const [imports, data] = codeOf(await read(name));
        const code = name === "CNN.ipynb" ? `${imports}\n${data}` : imports;
        const printed = await runByUrl(
          (url) =>
            code.replace(
              /from "(\.[^"]*)"/g,
              (_, to) => `from "${new URL(to, `${url}notebooks/`)}"`,
            ),
          ["--allow-all"],
          { DENO_DIR: cache },
        );
        if (name !== "CNN.ipynb") continue;
        assertEquals(printed.split("\n")[0], "train: 55000 x 1 x 28 x 28");
      }
    } finally {
      await Deno.remove(cache, { recursive: true });
    }
  });
});
