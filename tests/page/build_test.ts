import { after, before, describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { buildPage, linkDocs } from "../../tools/page/build.ts";
import { servePage } from "../../tools/page/serve.ts";

describe("The built page", () => {
  let folder = "";
  const read = (name: string) => Deno.readTextFile(join(folder, name));
  const build = () => buildPage(folder, { sets: ["mnist"], limit: 7000 });

  before(async () => {
    folder = await Deno.makeTempDir();
    await build();
  });
  after(() => Deno.remove(folder, { recursive: true }));

  it("has its images in pieces, the first of them small", async () => {
    const { train, validation, labels } = JSON.parse(await read("sets/mnist.json"));
    assertEquals(train.map(({ count }: { count: number }) => count), [6000, 1000]);
    assertEquals(validation.count, 2000);
    const packed = (await Deno.open(join(folder, "sets", labels))).readable;
    const unpacked = packed.pipeThrough(new DecompressionStream("gzip"));
    const bytes = new Uint8Array(await new Response(unpacked).arrayBuffer());
    assertEquals(bytes.length, 2000 + 7000);
    assert(bytes.every((label) => label < 10));
  });

  it("has a service worker that knows its files, and another version for other files", async () => {
    const site = async () => {
      const [, json] = /^self\.SITE = (.*);\n/.exec(await read("service_worker.js"))!;
      return JSON.parse(json);
    };
    const first = await site();
    for (const file of [...first.shell.filter((name: string) => name !== "./"), ...first.pieces]) {
      assert((await Deno.stat(join(folder, file))).isFile, file);
    }
    assert(first.shell.includes("main.js") && first.shell.includes("worker.js"));
    assertEquals(first.pieces.length, 5);
    await build();
    assertEquals(await site(), first);
    await Deno.writeTextFile(
      join(folder, "sets", "mnist.json"),
      `${await read("sets/mnist.json")} `,
    );
    await build();
    assert((await site()).version !== first.version);
  });

  it("links the documentation only where that is beside it", async () => {
    assertStringIncludes(await read("index.html"), '<p id="docs" hidden>');
    await linkDocs(folder);
    assertStringIncludes(await read("index.html"), '<p id="docs" hidden>');
    await Deno.mkdir(join(folder, "docs"));
    await Deno.writeTextFile(join(folder, "docs", "index.html"), "");
    await linkDocs(folder);
    assertStringIncludes(await read("index.html"), '<p id="docs">');
    await build();
    assertStringIncludes(await read("index.html"), '<p id="docs">');
  });

  it("is served isolated, and nothing beside its folder is", async () => {
    const server = servePage(folder), url = `http://127.0.0.1:${server.addr.port}`;
    const answer = async (path: string) => {
      const { status, headers, body } = await fetch(url + path);
      await body?.cancel();
      return [status, headers.get("content-type"), headers.get("cross-origin-embedder-policy")];
    };
    try {
      assertEquals(await answer("/"), [200, "text/html; charset=utf-8", "require-corp"]);
      assertEquals((await answer("/main.js"))[1], "text/javascript; charset=utf-8");
      assertEquals((await answer("/missing.js"))[0], 404);
      await Deno.writeTextFile(`${folder}.secret`, "secret");
      const name = folder.split("/").at(-1);
      for (const path of [`/..%2f${name}.secret`, `/%2e%2e/${name}.secret`, "/sets"]) {
        assertEquals((await answer(path))[0], 404, path);
      }
    } finally {
      await Deno.remove(`${folder}.secret`).catch(() => {});
      await server.shutdown();
    }
  });
});
