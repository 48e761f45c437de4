import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Cifar10Options, getCifar10Data } from "../../../mod.ts";

const RECORD = 3073, SIZE = 10_000 * RECORD;

/** Made files of the official size; the pixels tell the file, the image and the place apart. */
function made(name: string): Uint8Array {
  const file = name === "test_batch.bin" ? 6 : Number(name.match(/\d/)![0]);
  const bytes = new Uint8Array(SIZE);
  for (let r = 0; r < 10_000; r++) {
    bytes.fill((r + file) & 255, r * RECORD + 1, (r + 1) * RECORD);
    bytes[r * RECORD] = (r + file) % 10;
    bytes[r * RECORD + 2] = file;
    bytes[(r + 1) * RECORD - 1] = 200;
  }
  return bytes;
}

/** A file in pieces of a size that never meets the end of a record. */
async function* pieces(bytes: Uint8Array, size = 70_001): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += size) yield await bytes.subarray(i, i + size);
}

/** A local server for files of one folder. */
function serve(answer: (name: string) => Response): { url: string } & Disposable {
  const server = Deno.serve({ port: 0, onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    const name = pathname.match(/^(?:\/parent\/cifar-10-batches-bin|\/cifar)\/(\w+\.bin)$/)?.[1];
    return name === undefined ? new Response(null, { status: 404 }) : answer(name);
  });
  const url = `http://127.0.0.1:${server.addr.port}/cifar`;
  return { url, [Symbol.dispose]: () => void server.shutdown() };
}

describe("getCifar10Data()", () => {
  it("splits as the course does", async () => {
    const read: string[] = [];
    const data = await getCifar10Data({
      readFile: (name) => {
        read.push(name);
        return pieces(made(name));
      },
      numTraining: 10_500,
      numValidation: 9_600,
      numTest: 3,
      subtractMean: false,
      dtype: "float32",
    });
    // 20,100 images are in three files; the others are left alone.
    assertEquals(
      read,
      ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "test_batch.bin"],
    );
    assertEquals(data.xTrain.shape, [10_500, 3, 32, 32]);
    assertEquals(data.xVal.shape, [9_600, 3, 32, 32]);
    assertEquals(data.xTest.shape, [3, 3, 32, 32]);
    assert(data.xTrain.data instanceof Float32Array);
    // Validation begins where training ends: with image 500 of the second file.
    assertEquals([...data.xVal.data.subarray(0, 3)], [(500 + 2) & 255, 2, (500 + 2) & 255]);
    assertEquals(data.xVal.data[3071], 200);
    assertEquals(data.yVal[0], (500 + 2) % 10);
    assertEquals([...data.xVal.data.subarray(9_599 * 3072).subarray(0, 2)], [(99 + 3) & 255, 3]);
    assertEquals([...data.yTest], [6, 7, 8]);
    assertEquals(data.meanImage.data.some((v) => v !== 0), false);
  });

  it("subtracts the mean of the training images alone", async () => {
    const options = {
      readFile: (name: string) => made(name),
      numTraining: 7,
      numValidation: 2,
      numTest: 2,
    };
    const { xTrain, xVal, xTest, meanImage } = await getCifar10Data(options);
    assert(xTrain.data instanceof Float64Array);
    // Images 0 to 6 of file 1 have the pixels 1 to 7, on average 4.
    assertEquals([...meanImage.data.subarray(0, 3)], [4, 1, 4]);
    assertEquals([xTrain.data[0], xTrain.data[1], xTrain.data[3071]], [-3, 0, 0]);
    assertEquals([xVal.data[0], xTest.data[0], xTest.data[1]], [8 - 4, 6 - 4, 6 - 1]);
  });

  it("takes the bytes from streams and addresses", async () => {
    using server = serve((name) => new Response(made(name).slice()));
    const few = { numTraining: 5, numValidation: 1, numTest: 1 };
    const fetched = await getCifar10Data({ directory: server.url, ...few });
    const streamed = await getCifar10Data({
      readFile: (name) => new Blob([made(name).slice()]).stream(),
      ...few,
    });
    assertEquals(fetched, streamed);
    await assertRejects(
      () => getCifar10Data({ directory: `${server.url}/nowhere/`, ...few }),
      Error,
      "404",
    );
  });

  it("reads a folder", async () => {
    const folder = await Deno.makeTempDir();
    await Deno.writeFile(`${folder}/data_batch_1.bin`, made("data_batch_1.bin"));
    const few = { numTraining: 5, numValidation: 1, numTest: 0 };
    const data = await getCifar10Data({ directory: folder, ...few });
    assertEquals([...data.yTrain, ...data.yVal], [1, 2, 3, 4, 5, 6]);
    await assertRejects(
      () => getCifar10Data({ directory: folder, ...few, numTest: 1 }),
      Error,
      "test_batch.bin",
    );
    await Deno.remove(folder, { recursive: true });
  });

  it("takes the folder that holds the official one, on disk and by its address", async () => {
    const few = { numTraining: 5, numValidation: 1, numTest: 0 };
    const expected = await getCifar10Data({ readFile: made, ...few });
    const parent = await Deno.makeTempDir();
    await Deno.mkdir(`${parent}/cifar-10-batches-bin`);
    await Deno.writeFile(
      `${parent}/cifar-10-batches-bin/data_batch_1.bin`,
      made("data_batch_1.bin"),
    );
    assertEquals(await getCifar10Data({ directory: parent, ...few }), expected);
    await Deno.remove(parent, { recursive: true });
    using server = serve((name) => new Response(made(name).slice()));
    const directory = server.url.replace("/cifar", "/parent");
    assertEquals(await getCifar10Data({ directory, ...few }), expected);
  });

  it("keeps the bytes if they are asked for", async () => {
    const few = { readFile: made, numTraining: 5, numValidation: 1, numTest: 1 };
    const { xTrain, xVal, xTest, meanImage } = await getCifar10Data({ ...few, dtype: "uint8" });
    const single = await getCifar10Data({ ...few, dtype: "float32", subtractMean: false });
    for (const [bytes, floats] of [[xTrain, single.xTrain], [xVal, single.xVal]] as const) {
      assert(bytes.data instanceof Uint8Array);
      assertEquals([...bytes.data], [...floats.data]);
      assertEquals(bytes.shape, floats.shape);
    }
    assertEquals(xTest.data[0], 6);
    assertEquals(meanImage, single.meanImage);
    await assertRejects(
      () => getCifar10Data({ ...few, dtype: "uint8", subtractMean: true }),
      TypeError,
      "subtractMean must be false for bytes",
    );
  });

  it("refuses a file that is truncated, too long or has a label above 9", async () => {
    const few = { numTraining: 1, numValidation: 0, numTest: 0 };
    const attempt = (bytes: Uint8Array) =>
      getCifar10Data({ readFile: () => pieces(bytes), ...few });
    const whole = made("data_batch_1.bin");
    await assertRejects(
      () => attempt(whole.subarray(0, SIZE - 1)),
      RangeError,
      "data_batch_1.bin must have 30730000 bytes, 10000 records of 3073: it has 30729999",
    );
    const longer = new Uint8Array(SIZE + 4);
    longer.set(whole);
    longer.fill(99, SIZE);
    await assertRejects(() => attempt(longer), RangeError, "it has 30730004");
    // Also where the image is not asked for.
    whole[RECORD * 9_999] = 10;
    await assertRejects(
      () => attempt(whole),
      RangeError,
      "data_batch_1.bin must have labels from 0 to 9: that of record 9999 is 10",
    );
  });

  it("cancels a stream that it does not read to its end", async () => {
    const wrong = made("data_batch_1.bin").subarray(0, RECORD);
    wrong[0] = 10;
    let cancelled = 0, returned = 0;
    const stream = () =>
      new ReadableStream<Uint8Array>({
        pull: (controller) => controller.enqueue(wrong),
        cancel: () => void cancelled++,
      });
    async function* iterable() {
      try {
        for (;;) yield await wrong;
      } finally {
        returned++;
      }
    }
    for (const readFile of [stream, iterable]) {
      await assertRejects(() => getCifar10Data({ readFile }), RangeError, "record 0 is 10");
    }
    assertEquals([cancelled, returned], [1, 1]);
  });

  it("refuses options that cannot be", async () => {
    const attempt = (options: Cifar10Options) => () => getCifar10Data(options);
    const readFile = () => new Uint8Array(0);
    await assertRejects(attempt({}), TypeError, "either a directory or a readFile");
    await assertRejects(attempt({ readFile, directory: "." }), TypeError, "either a directory");
    await assertRejects(
      attempt({ readFile, numTraining: 49_500 }),
      RangeError,
      "at most 50000 together: received 49500 and 1000",
    );
    await assertRejects(attempt({ readFile, numTest: 10_001 }), RangeError, "numTest");
    await assertRejects(attempt({ readFile, numTraining: 0 }), RangeError, "numTraining");
    const options = { readFile, numTrain: 3 } as Cifar10Options;
    await assertRejects(attempt(options), TypeError, 'unknown option "numTrain"');
  });
});
