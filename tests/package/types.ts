/**
 * The installed package as its files describe it: to TypeScript, and to the tools that read package.json.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { join } from "node:path";
import { PACKAGE } from "../../tools/bundle.ts";
import type { Installed } from "./install.ts";

/** TypeScript's settings, as strict as a user's may be. */
const compilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  noEmit: true,
  target: "ES2022",
  lib: ["ES2022", "DOM"],
  types: [],
};

/** Compilers, the oldest that knows the types of typed arrays first, and how each resolves modules. */
const compilers = [
  ["typescript-5.7", "NodeNext"],
  ["typescript-5.9", "Bundler"],
  ["typescript-latest", "NodeNext"],
] as const;

/** A program that a user might write, with a mistake that the types must find. */
const usage = (module: string) => `
import { convForward, Solver, type Tensor, ThreeLayerConvNet, zeros } from "${module}";
const x = zeros([2, 3, 8, 8]);
const { out } = convForward(x, zeros([4, 3, 3, 3]), zeros([4]), { pad: 1 });
export const result: Tensor = out;
export const solver: typeof Solver = Solver;
export const net = new ThreeLayerConvNet({ inputDim: [3, 8, 8], numClasses: 4, dtype: "float32" });
// @ts-expect-error: a word is not a tensor
convForward("x", x, x);
`;

/** Tests of types and of package.json. */
export function testTypes({ folder, tarball, runtimes, run }: Installed): void {
  const node = runtimes["node latest"];
  const tool = (...path: string[]) => join(folder, "node_modules", ...path);

  for (const [typescript, moduleResolution] of compilers) {
    it(`compiles with ${typescript}, modules resolved as in ${moduleResolution}`, async () => {
      const { exports } = JSON.parse(await Deno.readTextFile(tool(PACKAGE, "package.json")));
      const imports = Object.keys(exports).map((entry, i) =>
        `import * as e${i} from "${entry.replace(/^\./, PACKAGE)}";\nexport { e${i} };`
      );
      const module = moduleResolution === "Bundler" ? "ESNext" : moduleResolution;
      const files = {
        "entries.ts": imports.join("\n"),
        "installed.ts": usage(PACKAGE),
        "page.ts": usage("./dist/cnn-layers.js"),
      };
      const config = {
        compilerOptions: { ...compilerOptions, module, moduleResolution },
        files: Object.keys(files),
      };
      for (const [file, text] of Object.entries({ ...files, "tsconfig.json": config })) {
        const content = typeof text === "string" ? text : JSON.stringify(text);
        await Deno.writeTextFile(join(folder, file), content);
      }
      const { stdout, success } = await run(node, tool(typescript, "lib", "tsc.js"), "-p", ".");
      assertEquals({ stdout, success }, { stdout: "", success: true });
    });
  }
  it("has nothing that publint complains of", async () => {
    const path = tool("publint", "src", "cli.js");
    const { stdout, success } = await run(node, path, "run", "--strict", tool(PACKAGE));
    assert(success && stdout.includes("All good!"), stdout);
  });
  it("has types that attw finds from every entry point", async () => {
    // It holds ES modules alone: what resolves modules as CommonJS does is not asked.
    const path = tool("@arethetypeswrong", "cli", "dist", "index.js");
    const args = ["--profile", "esm-only", "--no-color", "--no-emoji", tarball];
    const { stdout, success } = await run(node, path, ...args);
    assert(success, stdout);
  });
}
