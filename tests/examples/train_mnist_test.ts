import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { decodeCheckpoint } from "../../mod.ts";
import { readMnist } from "../../examples/lib/mnist.ts";
import { InputError } from "../../tools/options.ts";
import { idx } from "../support/idx.ts";
import { noMpi, runTask } from "../support/mpi.ts";
import { assertRefused, finish, interrupt, run, start } from "../support/command.ts";
import { readReport } from "../support/report.ts";
import { parseSvg, texts } from "../support/svg.ts";

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

  it("takes files that are packed, and refuses what is missing or damaged", async () => {
    const folder = await makeFolder(), name = `${folder}/t10k-images-idx3-ubyte`;
    const { xTest } = await readMnist(folder);
    const bytes = await Deno.readFile(name);
    await Deno.remove(name);
    await assertRejects(() => readMnist(folder), InputError, `${name} is missing, and ${name}.gz`);
    const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
    await Deno.writeFile(`${name}.gz`, await new Response(stream).bytes());
    assertEquals((await readMnist(folder)).xTest, xTest);
    await Deno.writeFile(name, bytes.subarray(0, 100));
    await assertRejects(() => readMnist(folder), InputError, `${name} must have 15696 bytes`);
    await Deno.remove(folder, { recursive: true });
  });

  it("refuses labels that do not fit", async () => {
    const few = await makeFolder({ "train-labels-idx1-ubyte": idx([5], new Uint8Array(5)) });
    await assertRejects(() => readMnist(few), InputError, "must have 5100 labels");
    const wrong = await makeFolder({
      "t10k-labels-idx1-ubyte": idx([20], new Uint8Array(20).fill(10)),
    });
    await assertRejects(() => readMnist(wrong), InputError, "number 0 is 10");
  });

  it("refuses digits of another size, and none", async () => {
    const attempt = async (name: string, shape: readonly number[], found: string) => {
      const size = shape.reduce((product, length) => product * length);
      const folder = await makeFolder({ [name]: idx(shape, new Uint8Array(size)) });
      await assertRejects(
        () => readMnist(folder),
        InputError,
        `${folder}/${name} must have digits of 28 x 28 pixels: it has ${found}`,
      );
      await Deno.remove(folder, { recursive: true });
    };
    await attempt("train-images-idx3-ubyte", [5100, 20, 30], "5100 of 20 x 30");
    await attempt("train-images-idx3-ubyte", [5100, 0, 0], "5100 of 0 x 0");
    await attempt("t10k-images-idx3-ubyte", [20, 28, 27], "20 of 28 x 27");
    const none = await makeFolder({
      "t10k-images-idx3-ubyte": idx([0, 28, 28], new Uint8Array(0)),
      "t10k-labels-idx1-ubyte": idx([0], new Uint8Array(0)),
    });
    await assertRejects(() => readMnist(none), InputError, "it has 0 of 28 x 28");
    await Deno.remove(none, { recursive: true });
    // Those that are kept for validation are not to be learned from.
    const few = await makeFolder({
      "train-images-idx3-ubyte": idx([5000, 28, 28], new Uint8Array(5000 * 784)),
      "train-labels-idx1-ubyte": idx([5000], new Uint8Array(5000)),
    });
    const message = `${few} must have more than 5000 digits: it has 5000`;
    await assertRejects(() => readMnist(few), InputError, message);
    await Deno.remove(few, { recursive: true });
  });
});

describe("deno task train", () => {
  const small = ["--limit", "200", "--epochs", "2", "--batch", "50", "--filters", "2"];

  it("gives the same losses for the same seed, and tells which kernels ran", async () => {
    const [first, again, other] = await Promise.all([
      run("examples/train_mnist.ts", small),
      run("examples/train_mnist.ts", small),
      run("examples/train_mnist.ts", [...small, "--seed", "1"]),
    ]);
    assertEquals(first.code, 0);
    assertEquals(again.stdout, first.stdout);
    assertNotEquals(other.stdout.split("\n")[0], first.stdout.split("\n")[0]);
    assertMatch(first.stdout, /^8 of 8 iterations, 2 epochs, loss \d\.\d{9,}\n/);
    assertMatch(first.stdout, /\ntest accuracy +\d+\.\d%\n/);
    assertMatch(first.stdout, /\nconv1 +conv-1x28x28-2x5x5-s1p2\S* +(simd|generated|naive)\n/);
    assertMatch(first.stderr, /8\/8 \| loss \d\.\d{4} \| train \d.* images\/s \| 0:00 left/);
  });

  it("runs the naive kernels where they are asked for, and writes a report", async () => {
    const plots = await Deno.makeTempDir();
    const { code, stdout } = await run("examples/train_mnist.ts", [
      ...["--limit", "20", "--epochs", "1", "--batch", "10", "--filters", "2"],
      ...["--kernels", "naive", "--plots", plots],
    ]);
    assertEquals(code, 0);
    assertMatch(stdout, /\nthe report is \S+\/report.html\n$/);
    assertMatch(stdout, /\nconv1 +\S+ +naive\n/);
    const { page, figures } = await readReport(plots);
    const cells = [...page.matchAll(/<td[^>]*>([^<]*)<\/td>/g)].map(([, text]) => text);
    const after = (cell: string) => cells[cells.indexOf(cell) + 1];
    assertEquals([after("filters"), after("kernels")], ["2", "naive"]);
    assertMatch(after("threads"), /^\d+$/);
    assertEquals(after("test accuracy"), /\ntest accuracy +(\S+)\n/.exec(stdout)![1]);
    assertEquals([after("conv1"), after("conv-naive")], ["2 x 28 x 28", "naive"]);
    assert(!page.includes("http-equiv"), "a page that is done must not be loaded again");
    assert(texts(parseSvg(figures.filters)).includes("2 filters of conv1, 5 x 5"));
    assert(texts(parseSvg(figures.confusion)).includes("20 validation images"));
    await Deno.remove(plots, { recursive: true });
  });

  it("ends cleanly with what was reached when Ctrl-C is pressed", async () => {
    const plots = await Deno.makeTempDir();
    const { code, stdout } = await interrupt("examples/train_mnist.ts", [
      ...["--limit", "500", "--epochs", "10000", "--plots", plots],
    ]);
    assertEquals(code, 130);
    const { page } = await readReport(plots);
    assertMatch(page, /stopped by Ctrl-C after \d+ of 50000 iterations/);
    await Deno.remove(plots, { recursive: true });
    assertMatch(stdout, /^stopped by Ctrl-C after \d+ of 50000 iterations/);
    assertMatch(stdout, /\nvalidation accuracy +\d/);
    assertMatch(stdout, /\nconv1 /);
  });

  it("trains on ranks, with what one process gives, and one bar", { skip: noMpi }, async () => {
    const folder = await Deno.makeTempDir(), parts = ["--micro-batches", "5"];
    const plots = ["--plots", `${folder}/plots`];
    const one = await run("examples/train_mnist.ts", [...small, ...parts, ...plots]);
    const { figures } = await readReport(plots[1]);
    for (const ranks of [2, 3]) {
      const file = `${folder}/${ranks}.safetensors`;
      const args = [...small, ...parts, ...plots, "--mpi", "--checkpoint", file];
      const { code, stdout, stderr } = await runTask(ranks, "train", args);
      assertEquals([code, stdout], [0, one.stdout], stderr);
      assertEquals(stderr.match(/8\/8 \| loss/g)?.length, 1);
      assertEquals(decodeCheckpoint(await Deno.readFile(file)).iteration, 8);
      assertEquals((await readReport(plots[1])).figures, figures);
    }
    await Deno.remove(folder, { recursive: true });
  });

  it("ends all ranks in one line if their options do not fit", { skip: noMpi }, async () => {
    const { code, stdout, stderr } = await runTask(3, "train", [...small, "--mpi"]);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(
      stderr,
      /Error: --micro-batches must be the number of ranks, 3, or more: received 2/,
    );
  });

  it("refuses micro-batches that are no parts of the batch, and --mpi without permission", async () => {
    await assertRefused(
      "examples/train_mnist.ts",
      [...small, "--micro-batches", "3"],
      "--micro-batches must divide the batch of 50: received 3",
    );
    await assertRefused(
      "examples/train_mnist.ts",
      [...small, "--mpi"],
      "MPI is a native library: run Deno with --allow-ffi",
    );
  });

  it("writes its report after an epoch too, for those who watch", async () => {
    const plots = await Deno.makeTempDir(), page = `${plots}/report.html`;
    const child = start("examples/train_mnist.ts", [
      ...small,
      "--epochs",
      "100000",
      "--plots",
      plots,
    ]);
    let ended = false;
    child.status.then(() => ended = true);
    while (!ended && await Deno.stat(page).then(() => false, () => true)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const text = await Deno.readTextFile(page);
    child.kill("SIGKILL");
    await finish(child);
    assertMatch(text, /<meta http-equiv="refresh" content="\d+">/);
    assertMatch(text, /training: \d+ of 400000 iterations, \d+ of 100000 epochs/);
    assertEquals(text.match(/<figure>/g)?.length, 7);
    await Deno.remove(plots, { recursive: true });
  });

  it("refuses a folder for the clothing, which npm carries", async () => {
    await assertRefused(
      "examples/train_mnist.ts",
      ["--images", "fashion", "--data", "digits"],
      "--images fashion has no --data: npm carries it",
    );
  });

  it("resumes after Ctrl-C with the losses of a run that was not stopped", async () => {
    const folder = await Deno.makeTempDir();
    const long = [...small, "--epochs", "20"];
    const checkpoint = ["--checkpoint", `${folder}/run.safetensors`];
    const plots = ["first", "second", "whole"].map((name) => ["--plots", `${folder}/${name}`]);
    const stopped = await interrupt("examples/train_mnist.ts", [
      ...long,
      ...checkpoint,
      ...plots[0],
    ]);
    assertEquals(stopped.code, 130);
    assertMatch(stopped.stdout, /^stopped by Ctrl-C after \d+ of 80 iterations/);
    const resumed = await run("examples/train_mnist.ts", [...long, ...checkpoint, ...plots[1]]);
    assertMatch(resumed.stderr, /^resumed from \S+run.safetensors after \d+ iterations\n/);
    const whole = await run("examples/train_mnist.ts", [...long, ...plots[2]]);
    assertEquals(resumed.stdout.replace("second", "whole"), whole.stdout);
    assertEquals([resumed.code, whole.code], [0, 0]);
    // The figures show what came before the stop as well, from the first iteration on.
    const drawn = await readReport(plots[1][1]), expected = await readReport(plots[2][1]);
    assertEquals(drawn.figures, expected.figures);
    assertMatch(drawn.page, /<td>resumed after<\/td><td>\d+ iterations<\/td>/);
    for (const [, path] of plots) await Deno.remove(path, { recursive: true });
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["run.safetensors"]);
    await Deno.remove(folder, { recursive: true });
  });

  it("lets one process at a time have a checkpoint, and takes over what a killed one left", async () => {
    const folder = await Deno.makeTempDir(), file = `${folder}/run.safetensors`;
    const args = ["--limit", "200", "--batch", "50", "--filters", "2", "--checkpoint", file];
    const first = start("examples/train_mnist.ts", [...args, "--epochs", "100000"]);
    const reader = first.stderr.getReader();
    await reader.read();
    await assertRefused(
      "examples/train_mnist.ts",
      args,
      `${file} is in use by another process, number ${first.pid}`,
    );
    first.kill("SIGKILL");
    await Promise.all([first.status, reader.cancel(), first.stdout.cancel()]);
    assert([...Deno.readDirSync(folder)].some(({ name }) => name === "run.safetensors.lock"));
    const next = await run("examples/train_mnist.ts", [...args, "--epochs", "1"]);
    assertEquals(next.code, 0, next.stderr);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["run.safetensors"]);
    await Deno.remove(folder, { recursive: true });
  });

  it("continues with a disk that is full, and keeps the checkpoint of before", async () => {
    const folder = await Deno.makeTempDir(), file = `${folder}/run.safetensors`;
    const args = [...small, "--checkpoint", file];
    assertEquals((await run("examples/train_mnist.ts", [...args, "--epochs", "1"])).code, 0);
    const before = await Deno.readFile(file);
    // No file may grow beyond some kilobytes, and an attempt is an error instead of a signal.
    const child = start("examples/train_mnist.ts", args, (command) => [
      ...["sh", "-c", 'trap "" XFSZ; ulimit -f 4; exec "$@"', "sh", ...command],
    ]);
    const { code, stdout, stderr } = await finish(child);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /\nWarning: \S+run.safetensors cannot be written after 8 iterations: .*\n/);
    assertEquals(await Deno.readFile(file), before);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["run.safetensors"]);
    // With room on the disk the same run prints the same.
    assertEquals(stdout, (await run("examples/train_mnist.ts", args)).stdout);
    await Deno.remove(folder, { recursive: true });
  });

  it("tries what it shall write before it begins", async () => {
    const folder = await Deno.makeTempDir();
    const refused = async (args: string[], message: RegExp) => {
      // Data that are not there are never looked for.
      const { code, stdout, stderr } = await run("examples/train_mnist.ts", [
        ...["--data", "/nowhere", ...args],
      ]);
      assertEquals([code, stdout], [2, ""]);
      assertMatch(stderr, message);
    };
    await Deno.writeTextFile(`${folder}/file`, "");
    await Deno.mkdir(`${folder}/out/loss.svg`, { recursive: true });
    await refused(["--checkpoint", folder], /^Error: \S+ must be a file: it is a folder\n$/);
    await refused(
      ["--checkpoint", `${folder}/missing/run`],
      /^Error: \S+missing\/run cannot be written: No such file or directory.*\n$/,
    );
    await refused(
      ["--checkpoint", `${folder}/file/run`],
      /^Error: \S+file\/run cannot be written: Not a directory.*\n$/,
    );
    await refused(["--plots", `${folder}/file`], /^Error: \S+file cannot be written: .*\n$/);
    await refused(["--plots", `${folder}/file/out`], /^Error: \S+out cannot be written: .*\n$/);
    await refused(["--plots", "/proc/out"], /^Error: \/proc\/out cannot be written: .*\n$/);
    await refused(
      ["--plots", `${folder}/out`],
      /^Error: \S+loss.svg must be a file: it is a folder\n$/,
    );
    await refused(["--out", folder], /^Error: --out was replaced by --plots \(see --help\)\n$/);
    assertEquals([...Deno.readDirSync(`${folder}/out`)].map(({ name }) => name), ["loss.svg"]);
    await Deno.remove(folder, { recursive: true });
  });

  it("says in one line what is wrong with its options", async () => {
    const refused = (args: string[], message: string) =>
      assertRefused("examples/train_mnist.ts", args, message);
    await Promise.all([
      refused(
        ["--epochs", "many"],
        '--epochs must be a whole number from 1 to 1000000: received "many"',
      ),
      refused(
        ["--learning-rate", ""],
        '--learning-rate must be a number from 0 to 1000: received ""',
      ),
      refused(["--epoch", "3"], "Unknown option '--epoch' (see --help)"),
      refused(
        ["--filter-size", "4"],
        '--filter-size must be an odd number from 1 to 27: received "4"',
      ),
      refused(
        ["--filter-size", "1001"],
        '--filter-size must be an odd number from 1 to 27: received "1001"',
      ),
      refused(
        ["--seed", "4294967296"],
        '--seed must be a whole number from 0 to 4294967295: received "4294967296"',
      ),
      refused(
        ["--hidden", "1000000000"],
        '--hidden must be a whole number from 1 to 65536: received "1000000000"',
      ),
      refused(
        ["--batch", "1e9"],
        '--batch must be a whole number from 1 to 55000: received "1e9"',
      ),
      refused(
        ["--filters", "1024", "--hidden", "65536"],
        "--filters 1024, --hidden 65536 and --batch 100 must fit 4 GB of memory together: " +
          "they need about 422 GB",
      ),
    ]);
  });

  it("says in one line what is wrong with its data", async () => {
    const images = idx([5100, 28, 28], new Uint8Array(100));
    const folder = await makeFolder({ "train-images-idx3-ubyte": images });
    const path = `${folder}/train-images-idx3-ubyte`;
    await assertRefused(
      "examples/train_mnist.ts",
      ["--data", folder],
      `${path} must have 3998416 bytes for its shape [5100,28,28]: it has 116`,
    );
    await Deno.remove(path);
    await assertRefused(
      "examples/train_mnist.ts",
      ["--data", folder],
      `${path} is missing, and ${path}.gz too`,
    );
    await Deno.mkdir(path);
    const { code, stderr } = await run("examples/train_mnist.ts", ["--data", folder]);
    assertEquals(code, 2);
    assertMatch(stderr, /^Error: \S+train-images-idx3-ubyte cannot be read: Is a directory.*\n$/);
  });

  it("tells its options", async () => {
    const { code, stdout } = await run("examples/train_mnist.ts", ["--help"]);
    assertEquals(code, 0);
    for (const name of ["epochs", "filters", "filter-size", "hidden", "batch", "learning-rate"]) {
      assertMatch(stdout, new RegExp(`  --${name} `));
    }
  });
});
