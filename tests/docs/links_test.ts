import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ROOT } from "../../tools/bundle.ts";

/** The Markdown files of a folder and those below, by their paths from the root. */
function* documents(folder = ""): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(`${ROOT}${folder}`)) {
    const path = `${folder}${name}`;
    if (isDirectory && !["node_modules", "dist", "data", "out", ".git"].includes(name)) {
      yield* documents(`${path}/`);
    }
    if (name.endsWith(".md")) yield path;
  }
}

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );
}

const paths = [...documents()];

describe("The documents", () => {
  it("are found", () => assert(paths.includes("README.md") && paths.includes("docs/course.md")));

  for (const path of paths) {
    it(`link to what exists: ${path}`, async () => {
      const text = await Deno.readTextFile(`${ROOT}${path}`);
      const broken: string[] = [];
      for (const [, link] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
        const [file, anchor] = link.split("#");
        const target = new URL(file, new URL(path, `file://${ROOT}`));
        if (file === "") target.pathname = `${ROOT}${path}`;
        const found = await Deno.stat(target).catch(() => undefined);
        const anchors = anchor && found?.isFile ? anchorsOf(await Deno.readTextFile(target)) : [];
        if (found === undefined || anchor && !anchors.includes(anchor)) broken.push(link);
      }
      assertEquals(broken, []);
    });
  }
});
