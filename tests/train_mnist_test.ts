import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { readIdx } from "../examples/lib/idx.ts";
import { readMnist } from "../examples/lib/mnist.ts";
import { InputError } from "../examples/lib/options.ts";
import { assertRefused, interrupt, run } from "./command.ts";

/** An IDX file of bytes. */
function idx(shape: readonly number[], data: Uint8Array): Uint8Array<ArrayBuffer> {
  const start = 4 + 4 * shape.length;
  const bytes = new Uint8Array(start + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x0800 | shape.length);
  for (const [i, size] of shape.entries()) view.setUint32(4 + 4 * i, size);
  bytes.set(data, start);
  return bytes;
}

/** A folder with few made digits of 28 x 28; the validation set takes the last 5,000. */
async function makeFolder(changes: Record<string, Uint8Array> = {}): Promise<string> {
  const folder = await Deno.makeTempDir();
  const labels = (count: number) => Uint8Array.from({ length: count }, (_, i) => i % 10);
  const files = {
    "train-images-idx3-ubyte": idx([5100, 28, 28], new Uint8Array(5100 * 784).fill(51)),
    "train-labels-idx1-ubyte": idx([5100], labels(5100)),
    "t10k-images-idx3-ubyte": idx([20, 28, 28], new Uint8Array(20 * 784)),
    "t10k-labels-idx1-ubyte": idx([20], labels(20)),
    ...changes,
  };
  for (const [name, bytes] of Object.entries(files)) {
    await Deno.writeFile(`${folder}/${name}`, bytes);
  }
  return folder;
}

describe("readIdx()", () => {
  const write = async (bytes: Uint8Array) => {
    const path = await Deno.makeTempFile();
    await Deno.writeFile(path, bytes);
    return path;
  };
  const file = idx([2, 3], Uint8Array.of(1, 2, 3, 4, 5, 6));

  it("reads a file, packed or not", async () => {
    const expected = { shape: [2, 3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    assertEquals(await readIdx(await write(file), 2), expected);
    const stream = new Blob([file]).stream().pipeThrough(new CompressionStream("gzip"));
    const packed = await new Response(stream).bytes();
    assertEquals(await readIdx(await write(packed), 2), expected);
    const path = await Deno.makeTempFile();
    await Deno.rename(await write(packed), `${path}.gz`);
    await Deno.remove(path);
    assertEquals(await readIdx(path, 2), expected);
    const half = await write(packed.subarray(0, 20));
    await assertRejects(() => readIdx(half, 2), InputError, "truncated or damaged");
  });

  it("refuses what is missing, truncated, too long or something else", async () => {
    const attempt = async (bytes: Uint8Array, message: string, rank = 2) => {
      const path = await write(bytes);
      await assertRejects(() => readIdx(path, rank), InputError, `${path} must ${message}`);
    };
    await attempt(file.subarray(0, 17), "have 18 bytes for its shape [2,3]: it has 17");
    await attempt(idx([2, 3], new Uint8Array(7)), "have 18 bytes for its shape [2,3]: it has 19");
    await attempt(file.subarray(0, 5), "have a header of 12 bytes: it has 5");
    await attempt(file, "be an IDX file of bytes with 3 dimensions", 3);
    await attempt(new TextEncoder().encode("<!doctype html>"), "be an IDX file of bytes");
    await assertRejects(() => readIdx("/nowhere/x", 1), InputError, "/nowhere/x is missing");
  });
});

describe("readMnist()", () => {
  it("splits the digits, and gives them mean 0 and deviation 1", async () => {
    const digits = await readMnist();
    assertEquals(digits.xTrain.shape, [55_000, 1, 28, 28]);
    assertEquals(digits.xVal.shape, [5_000, 1, 28, 28]);
    assertEquals(digits.xTest.shape, [10_000, 1, 28, 28]);
    // The first labels of the three files' parts, as published.
    assertEquals([...digits.yTrain.subarray(0, 10)], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    assertEquals([...digits.yTest.subarray(0, 10)], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    let sum = 0, squares = 0;
    for (const value of digits.xTrain.data) {
      sum += value;
      squares += value * value;
    }
    const count = digits.xTrain.data.length, mean = sum / count;
    assert(Math.abs(mean) < 0.01, `mean ${mean}`);
    assert(Math.abs(Math.sqrt(squares / count) - 1) < 0.01, `squares ${squares / count}`);
  });

  it("refuses labels that do not fit", async () => {
    const few = await makeFolder({ "train-labels-idx1-ubyte": idx([5], new Uint8Array(5)) });
    await assertRejects(() => readMnist(few), InputError, "must have 5100 labels");
    const wrong = await makeFolder({
      "t10k-labels-idx1-ubyte": idx([20], new Uint8Array(20).fill(10)),
    });
    await assertRejects(() => readMnist(wrong), InputError, "number 0 is 10");
  });
});

describe("deno task train", () => {
  const small = ["--limit", "200", "--epochs", "2", "--batch", "50", "--filters", "2"];

  it("gives the same losses for the same seed, and tells which kernels ran", async () => {
    const [first, again, other] = await Promise.all([
      run("train_mnist.ts", small),
      run("train_mnist.ts", small),
      run("train_mnist.ts", [...small, "--seed", "1"]),
    ]);
    assertEquals(first.code, 0);
    assertEquals(again.stdout, first.stdout);
    assertNotEquals(other.stdout.split("\n")[0], first.stdout.split("\n")[0]);
    assertMatch(first.stdout, /^8 of 8 iterations, 2 epochs, loss \d\.\d{9,}\n/);
    assertMatch(first.stdout, /\ntest accuracy +\d+\.\d%\n/);
    assertMatch(first.stdout, /\nconv1 +conv-1x28x28-2x5x5-s1p2\S* +(simd|generated|naive)\n/);
    assertMatch(first.stderr, /8\/8 \| loss \d\.\d{4} \| train \d/);
  });

  it("runs the naive kernels where they are asked for, and writes pictures", async () => {
    const out = await Deno.makeTempDir();
    const { code, stdout } = await run("train_mnist.ts", [
      ...["--limit", "20", "--epochs", "1", "--batch", "10", "--filters", "2"],
      ...["--kernels", "naive", "--out", out],
    ]);
    assertEquals(code, 0);
    assertMatch(stdout, /\nconv1 +\S+ +naive\n/);
    const names = [...Deno.readDirSync(out)].map(({ name }) => name).toSorted();
    assertEquals(names, ["mnist-accuracy.svg", "mnist-filters.png", "mnist-loss.svg"]);
    await Deno.remove(out, { recursive: true });
  });

  it("ends cleanly with what was reached when Ctrl-C is pressed", async () => {
    const { code, stdout } = await interrupt("train_mnist.ts", [
      ...["--limit", "500", "--epochs", "10000"],
    ]);
    assertEquals(code, 130);
    assertMatch(stdout, /^stopped by Ctrl-C after \d+ of 50000 iterations/);
    assertMatch(stdout, /\nvalidation accuracy +\d/);
    assertMatch(stdout, /\nconv1 /);
  });

  it("says in one line what is wrong with its options", async () => {
    const refused = (args: string[], message: string) =>
      assertRefused("train_mnist.ts", args, message);
    await Promise.all([
      refused(
        ["--epochs", "many"],
        '--epochs must be a whole number of 1 or more: received "many"',
      ),
      refused(
        ["--learning-rate", ""],
        '--learning-rate must be a number of 0 or more: received ""',
      ),
      refused(["--epoch", "3"], "Unknown option '--epoch' (see --help)"),
      refused(["--filter-size", "4"], "--filter-size must be odd: received 4"),
    ]);
  });

  it("says in one line what is wrong with its data", async () => {
    const images = idx([5100, 28, 28], new Uint8Array(100));
    const folder = await makeFolder({ "train-images-idx3-ubyte": images });
    const path = `${folder}/train-images-idx3-ubyte`;
    await assertRefused(
      "train_mnist.ts",
      ["--data", folder],
      `${path} must have 3998416 bytes for its shape [5100,28,28]: it has 116`,
    );
    await Deno.remove(path);
    await assertRefused(
      "train_mnist.ts",
      ["--data", folder],
      `${path} is missing, and ${path}.gz too`,
    );
  });

  it("tells its options", async () => {
    const { code, stdout } = await run("train_mnist.ts", ["--help"]);
    assertEquals(code, 0);
    for (const name of ["epochs", "filters", "filter-size", "hidden", "batch", "learning-rate"]) {
      assertMatch(stdout, new RegExp(`  --${name} `));
    }
  });
});
