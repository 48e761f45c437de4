import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertRejects } from "@std/assert";
import { ownFile, replaceFile, tryFolder } from "../../tools/files.ts";
import { InputError } from "../../tools/options.ts";

const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).toSorted();
const isLinux = Deno.build.os === "linux";
const bytes = (text: string) => new TextEncoder().encode(text);

describe("tryFolder()", () => {
  it("makes a folder that is missing, and leaves nothing in it", async () => {
    const folder = await Deno.makeTempDir();
    await tryFolder(`${folder}/a/b`, ["x.png"]);
    await tryFolder(`${folder}/a/b`, ["x.png"]);
    assertEquals(names(`${folder}/a/b`), []);
    await Deno.remove(folder, { recursive: true });
  });

  it("refuses what cannot be written", async () => {
    const folder = await Deno.makeTempDir(), file = `${folder}/file`;
    await Deno.writeTextFile(file, "");
    await Deno.mkdir(`${folder}/x.png`);
    const refused = (path: string, message: string) =>
      assertRejects(() => tryFolder(path, ["x.png"]), InputError, message);
    await refused(file, `${file} cannot be written`);
    await refused(`${file}/below`, `${file}/below cannot be written`);
    await refused(folder, `${folder}/x.png must be a file: it is a folder`);
    if (isLinux) {
      // Folders that nobody writes, root neither.
      await refused("/proc", "/proc cannot be written");
      await refused("/proc/new", "/proc/new cannot be written");
    }
    await Deno.remove(folder, { recursive: true });
  });
});

describe("replaceFile()", () => {
  it("replaces a file, and leaves nothing beside it", async () => {
    const folder = await Deno.makeTempDir(), path = `${folder}/file`;
    await replaceFile(path, bytes("first"));
    await Deno.writeTextFile(`${path}.part`, "what an ended process left, longer than the file");
    await replaceFile(path, bytes("second"));
    assertEquals(await Deno.readTextFile(path), "second");
    assertEquals(names(folder), ["file"]);
    await Deno.remove(folder, { recursive: true });
  });

  it("keeps the file where the disk is full", { skip: !isLinux }, async () => {
    const folder = await Deno.makeTempDir(), path = `${folder}/file`;
    await Deno.writeTextFile(path, "old");
    await Deno.symlink("/dev/full", `${path}.part`);
    await assertRejects(() => replaceFile(path, bytes("new")), Error, "No space left on device");
    assertEquals(await Deno.readTextFile(path), "old");
    assertEquals(names(folder), ["file"]);
    await Deno.remove(folder, { recursive: true });
  });
});

describe("ownFile()", () => {
  it("lets one have a file at a time, by whatever path", async () => {
    const folder = await Deno.makeTempDir(), path = `${folder}/file`;
    await Deno.writeTextFile(path, "content");
    await Deno.symlink(path, `${folder}/link`);
    {
      await using own = await ownFile(`${folder}/link`);
      assertEquals(own.path, await Deno.realPath(path));
      for (const other of [path, `${folder}/link`, `${folder}/./file`]) {
        await assertRejects(
          () => ownFile(other),
          InputError,
          `${other} is in use by another process, number ${Deno.pid}`,
        );
      }
      assertEquals(names(folder), ["file", "file.lock", "link"]);
    }
    await using _ = await ownFile(path);
    assertEquals(await Deno.readTextFile(path), "content");
    await Deno.remove(folder, { recursive: true });
  });

  it("takes over what a dead process left", async () => {
    const folder = await Deno.makeTempDir(), path = `${folder}/file`;
    await Deno.writeTextFile(`${path}.lock`, "number 1, which still lives\n");
    {
      await using _ = await ownFile(path);
      assertEquals(await Deno.readTextFile(`${path}.lock`), `number ${Deno.pid}\n`);
    }
    assertEquals(names(folder), []);
    await Deno.remove(folder, { recursive: true });
  });

  it("refuses a path that cannot be written", async () => {
    const folder = await Deno.makeTempDir();
    await Deno.writeTextFile(`${folder}/file`, "");
    const refused = (path: string, message: string) =>
      assertRejects(() => ownFile(path), InputError, `${path} ${message}`);
    await refused(folder, "must be a file: it is a folder");
    await refused(`${folder}/missing/file`, "cannot be written: No such file or directory");
    await refused(`${folder}/file/file`, "cannot be written: Not a directory");
    if (isLinux) await refused("/proc/file", "cannot be written");
    assertEquals(names(folder), ["file"]);
    await Deno.remove(folder, { recursive: true });
  });

  it("refuses a file that is there and cannot be written", { skip: !isLinux }, async () => {
    const folder = await Deno.makeTempDir(), path = `${folder}/file`;
    // Nobody, root neither, writes into a program that runs.
    await Deno.copyFile("/bin/sleep", path);
    await using _ = new Deno.Command(path, { args: ["60"] }).spawn();
    await assertRejects(
      () => ownFile(path),
      InputError,
      `${path} cannot be written: Text file busy`,
    );
    assertEquals(names(folder), ["file"]);
    await Deno.remove(folder, { recursive: true });
  });
});
