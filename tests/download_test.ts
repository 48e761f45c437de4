import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { packTar } from "modern-tar/fs";
import { createHash } from "node:crypto";
import { fetchArchive } from "../examples/lib/download.ts";
import { InputError } from "../tools/options.ts";

/** A packed archive of one file with numbers that do not compress. */
async function makeArchive(): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/batches`);
  const content = crypto.getRandomValues(new Uint8Array(60_000));
  await Deno.writeFile(`${folder}/batches/one.bin`, content);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const part of packTar(folder)) parts.push(part);
  await Deno.remove(folder, { recursive: true });
  const stream = new Blob(parts).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).bytes();
}

/** A server that breaks each connection off after some bytes, as long as there are breaks left. */
function serve(file: Uint8Array<ArrayBuffer>, breaks: number[], ranges = true) {
  const asked: string[] = [];
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const answer = async (connection: Deno.TcpConn) => {
    const buffer = new Uint8Array(4096);
    const read = await connection.read(buffer);
    const request = new TextDecoder().decode(buffer.subarray(0, read ?? 0));
    const range = request.match(/range: bytes=(\d+)-/i)?.[1];
    asked.push(range ?? "all");
    const from = ranges && range !== undefined ? Number(range) : 0;
    const head = from >= file.length
      ? `416 Range Not Satisfiable\r\ncontent-range: bytes */${file.length}\r\ncontent-length: 0`
      : `${from > 0 ? "206 Partial Content" : "200 OK"}\r\ncontent-length: ${file.length - from}` +
        (from > 0 ? `\r\ncontent-range: bytes ${from}-${file.length - 1}/${file.length}` : "");
    const body = file.subarray(from, from + (breaks.shift() ?? file.length));
    const writer = connection.writable.getWriter();
    await writer.write(new TextEncoder().encode(`HTTP/1.1 ${head}\r\nconnection: close\r\n\r\n`));
    await writer.write(body);
    await writer.close();
  };
  const serving = (async () => {
    for await (const connection of listener) await answer(connection);
  })();
  return {
    url: `http://127.0.0.1:${listener.addr.port}/some/archive.tar.gz`,
    asked,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");

const file = await makeArchive();

describe("fetchArchive()", () => {
  const archive = (url: string) => ({ url, md5: md5(file) });
  const folder = () => Deno.makeTempDir();
  const unpacked = async (path: string) => (await Deno.stat(`${path}/batches/one.bin`)).size;

  it("fetches, checks and unpacks", async () => {
    await using server = serve(file, []);
    const path = `${await folder()}/new`;
    await fetchArchive(archive(server.url), path);
    assertEquals(await unpacked(path), 60_000);
    assertEquals(server.asked, ["all"]);
    // What is there is not fetched again.
    await fetchArchive(archive(server.url), path);
    assertEquals(server.asked, ["all"]);
  });

  it("goes on where the connection broke", async () => {
    await using server = serve(file, [20_000, 10_000]);
    const path = await folder();
    await fetchArchive(archive(server.url), path);
    assertEquals(await unpacked(path), 60_000);
    assertEquals(server.asked, ["all", "20000", "30000"]);
  });

  it("goes on where an earlier run ended", async () => {
    await using server = serve(file, [20_000, 0]);
    const path = await folder();
    await assertRejects(
      () => fetchArchive(archive(server.url), path),
      InputError,
      "broke off at byte 20000",
    );
    await fetchArchive(archive(server.url), path);
    assertEquals(await unpacked(path), 60_000);
    assertEquals(server.asked.at(-1), "20000");
  });

  it("starts anew if the server knows no ranges, and knows a whole file", async () => {
    await using server = serve(file, [20_000], false);
    const path = await folder();
    await fetchArchive(archive(server.url), path);
    assertEquals(await unpacked(path), 60_000);
    assertEquals(server.asked, ["all", "20000"]);

    await using other = serve(file, []);
    const whole = await folder();
    await Deno.writeFile(`${whole}/archive.tar.gz.part`, file);
    await fetchArchive(archive(other.url), whole);
    assertEquals(await unpacked(whole), 60_000);
  });

  it("refuses an archive with another checksum, and removes it", async () => {
    const other = file.slice();
    other[1000] ^= 1;
    await using server = serve(other, []);
    const path = await folder();
    await assertRejects(
      () => fetchArchive(archive(server.url), path),
      InputError,
      `archive.tar.gz must have the MD5 ${md5(file)}: received one with ${md5(other)}`,
    );
    assertEquals([...Deno.readDirSync(path)], []);
  });

  it("says so if there is no server, or no file", async () => {
    const path = await folder();
    await assertRejects(
      () => fetchArchive({ url: "http://127.0.0.1:9/x.tar.gz", md5: "" }, path),
      InputError,
      "cannot be reached",
    );
    await using server = Deno.serve(
      { port: 0, onListen: () => {} },
      () => new Response("gone", { status: 404 }),
    );
    const url = `http://127.0.0.1:${server.addr.port}/x.tar.gz`;
    await assertRejects(() => fetchArchive({ url, md5: "" }, path), InputError, "404");
    assert([...Deno.readDirSync(path)].length === 0);
  });
});
