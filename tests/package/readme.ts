/**
 * The programs of the README and of docs/, each in the environment that it is for, outside the repository.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";
import { encode } from "fast-png";
import { basename, join } from "node:path";
import { PACKAGE, ROOT } from "../../tools/bundle.ts";
import { type Block, blocksOf, printedBy } from "../support/blocks.ts";
import { skipped } from "./browsers.ts";
import type { Installed } from "./install.ts";

const readme = await blocksOf("README.md");
const serving = await blocksOf("docs/serving.md");
const documents = [...readme, ...await blocksOf("docs/nets.md"), ...serving];

/** The only block of a language that holds some words. */
function block(language: string, words: string): string {
  const found = readme.filter(({ info, text }) =>
    info.split(" ")[0] === language && text.includes(words)
  );
  assertEquals(found.length, 1, `blocks of ${language} with "${words}"`);
  return found[0].text;
}

/** The words of a command line of a shell block, without its comment and the & that puts it aside. */
function command(words: string): string[] {
  const line = block("sh", words).split("\n").find((line) => line.includes(words))!;
  return line.replace(/ +#.*$/, "").replace(/ +&$/, "").split(" ");
}

/** Asserts that a program printed what its comments say: "console.log(…); // 1". */
function assertPrinted(printed: string, { text }: Block): void {
  const plain = (line: string) => line.replaceAll(/[ "']/g, "");
  const lines = printed.split("\n").map(plain);
  for (const [, said] of text.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm)) {
    assert(lines.includes(plain(said)), `"${said}" is not printed:\n${printed}`);
  }
}

/** A port of this machine that is free. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Waits until a server answers, which is fetched first. */
async function untilServed(url: string): Promise<void> {
  for (let i = 0; i < 300; i++) {
    const answer = await fetch(url).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${url} does not answer`);
}

/** Serves a folder by the README's command while something runs. */
async function served(folder: string, run: (origin: string) => Promise<void>): Promise<void> {
  const port = freePort(), [program, ...args] = command("http-server ../cnn-layers");
  assertEquals(program, "deno");
  const child = new Deno.Command(Deno.execPath(), {
    args: args.map((word) => word === "8000" ? `${port}` : word),
    cwd: folder,
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    await untilServed(`http://localhost:${port}/mod.ts`);
    await run(`localhost:${port}`);
  } finally {
    child.kill();
    await child.status;
  }
}

/** Tests of the documents' programs. */
export function testReadme({ folder, tarball, runtimes }: Installed): void {
  const dist = join(folder, "dist");
  describe("The README's programs", () => {
    let top: string, app: string;
    const deno = Deno.execPath();

    before(async () => {
      // A copy of the repository, and a project beside it.
      top = await Deno.makeTempDir({ prefix: "cnn-layers-readme-" });
      app = join(top, "app");
      for (const folder of ["app", "cnn-layers"]) await Deno.mkdir(join(top, folder));
      for (const name of ["mod.ts", "kernels", "nn"]) {
        await Deno.symlink(join(ROOT, name), join(top, "cnn-layers", name));
      }
      await Deno.symlink(dist, join(top, "cnn-layers", "dist"));
      await Deno.writeTextFile(join(app, "package.json"), `{"private": true, "type": "module"}`);
      assertEquals(command("task package").slice(-3), ["deno@2.9.6", "task", "package"]);
      const install = command("npm install");
      assertEquals(install.slice(0, 4), ["cd", "-", "&&", "npm"]);
      assertEquals(basename(install[5]), basename(tarball));
      await printedBy(["npm", ...install.slice(4), "--no-audit", "--no-fund"], { cwd: app });
    });
    after(() => Deno.remove(top, { recursive: true }));

    const shapes = /^\[ 100, 25, 16, 16 \] \[ 100, 3, 31, 31 \] \[ 25, 3, 3, 3 \] \[ 25 \]/;

    it("run in Deno by path, without permissions", async () => {
      await Deno.writeTextFile(join(app, "main.ts"), block("ts", "cnn-layers/mod.ts"));
      assertMatch(await printedBy([deno, "run", "--no-prompt", "main.ts"], { cwd: app }), shapes);
    });
    it("run in Deno by URL, with the permission that they ask for", async () => {
      await served(app, async (host) => {
        const text = block("ts", "cnn-layers/mod.ts").replace("../cnn-layers", `http://${host}`);
        await Deno.writeTextFile(join(app, "main.ts"), text);
        const [, run, permission, file] = command("--allow-import");
        const args = [run, "--no-prompt", permission.replace("localhost:8000", host), file];
        const env = { DENO_DIR: join(top, "cache") };
        assertMatch(await printedBy([deno, ...args], { cwd: app, env }), shapes);
      });
    });
    for (const [name, program] of Object.entries(runtimes)) {
      it(`run in ${name} from the tarball`, async () => {
        const main = { info: "js", text: block("js", PACKAGE) };
        await Deno.writeTextFile(join(app, "main.mjs"), main.text);
        const printed = await printedBy([program, "main.mjs"], { cwd: app });
        assertPrinted(printed, main);
        assertMatch(printed, /conv-3x8x8-4x3x3-s1p1-f64-batched-simd/);
      });
    }
    const own = documents.filter(({ info, text }) =>
      info.startsWith("ts") && text.includes(PACKAGE)
    );
    for (const [i, each] of own.entries()) {
      for (const name of ["node latest", "bun"] as const) {
        it(`run in ${name}: TypeScript, number ${i + 1}`, async () => {
          await Deno.writeTextFile(join(app, `example${i}.ts`), each.text);
          const args = [runtimes[name], `example${i}.ts`];
          assertPrinted(await printedBy(args, { cwd: app }), each);
        });
      }
    }
    it("run in a page", { skip: skipped.has("Chromium") }, async () => {
      await Deno.writeTextFile(join(app, "index.html"), block("html", "cnn-layers.js"));
      await Deno.copyFile(join(dist, "cnn-layers.js"), join(app, "cnn-layers.js"));
      await using server = Deno.serve({ port: 0, onListen() {} }, async ({ url }) => {
        const name = new URL(url).pathname.slice(1) || "index.html";
        const type = name.endsWith(".js") ? "text/javascript" : "text/html";
        const body = await Deno.readFile(join(app, name)).catch(() => null);
        return new Response(body, { status: body ? 200 : 404, headers: { "content-type": type } });
      });
      const args = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"];
      const page = `http://localhost:${server.addr.port}/`;
      assertMatch(await printedBy(["chromium", ...args, "--dump-dom", page]), /1 x 8 x 32 x 32/);
    });
    it("serve the ONNX model with ONNX Runtime", async () => {
      const program = serving.find(({ text }) => text.includes("npm:onnxruntime-node"))!;
      // A folder without package.json, as Deno takes npm's packages from node_modules beside one.
      const folder = join(top, "serving");
      await Deno.mkdir(folder);
      await Deno.copyFile(join(app, "net.onnx"), join(folder, "net.onnx"));
      await Deno.writeTextFile(join(folder, "serve.ts"), program.text);
      const args = ["run", "--allow-all", "--no-check", "serve.ts"];
      assertPrinted(await printedBy([deno, ...args], { cwd: folder }), program);
    });
    it("train, measure and use a net on images", async () => {
      const folder = join(top, "images");
      for (const [name, level] of [["cat", 40], ["dog", 200]] as const) {
        await Deno.mkdir(join(folder, "pets", name), { recursive: true });
        for (let i = 0; i < 12; i++) {
          const data = Uint8Array.from({ length: 3 * 256 }, (_, at) => level + (at * i) % 17);
          const png = encode({ width: 16, height: 16, channels: 3, data });
          await Deno.writeFile(join(folder, "pets", name, `${i}.png`), png);
        }
      }
      await Deno.copyFile(join(folder, "pets", "cat", "1.png"), join(folder, "cat.png"));
      const printed: string[] = [];
      for (const line of block("sh", "cnn train").trim().split("\n")) {
        const words = line.split(" ").slice(1)
          .map((word) => /^(pets|cat)\b/.test(word) ? join(folder, word) : word);
        if (words.includes("train")) words.push("--epochs", "20", "--batch", "8");
        printed.push(await printedBy([deno, ...words], { cwd: ROOT }));
      }
      assertMatch(printed[2], /cat/);
      assertMatch(printed[4], /conv-3x31x31-25x3x3-s2-f32-simd/);
    });
    it("make kernels for your own shapes", async () => {
      const out = join(app, "my_kernels"), [, ...args] = command("codegen --x");
      const words = args.map((word) => word === "my_kernels/" ? out : word);
      await printedBy([deno, ...words], { cwd: ROOT });
      assertMatch(await Deno.readTextFile(join(out, "index.ts")), /registerKernels/);
    });
  });
}
