import { after, before, describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { encode as encodePng } from "fast-png";
import { encode as encodeJpeg } from "jpeg-js";
import { decodeNpz, encodeNpz } from "../../io/npz.ts";
import { decodeSafetensors } from "../../io/safetensors.ts";
import { crossEntropyLoss, softmax } from "../../io/onnx.ts";
import { affine, conv, globalAverage, Net, relu, zeros } from "../../mod.ts";
import { openDataSet } from "../../tools/cnn/dataset.ts";
import { encodeModel, readModel } from "../../tools/cnn/model.ts";
import { InputError } from "../../tools/options.ts";
import { idx } from "../support/idx.ts";
import { type Finished, interrupt, run } from "../support/command.ts";
import { readReport } from "../support/report.ts";

const SCRIPT = "tools/cnn/main.ts", SIDE = 8;
let folder = "";

const cnn = (...args: string[]): Promise<Finished> => run(SCRIPT, args);

/** What a command prints with --json; it must have gone well. */
async function json(...args: string[]) {
  const { code, stdout, stderr } = await cnn(...args, "--json");
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}

/** Asserts that a command says in one line what is wrong, and exits with 2. */
async function assertRefused(args: string[], message: string): Promise<void> {
  const { code, stdout, stderr } = await cnn(...args);
  assertEquals([code, stdout], [2, ""], stderr);
  assertMatch(stderr, /^Error: [^\n]*\n$/);
  assert(stderr.includes(message), stderr);
}

/** An image of one color, a little different for each value. */
function pixels(color: readonly number[], i: number): Uint8Array {
  return Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, k) => color[k % 3] + (i * 7 + k) % 20);
}

const COLORS = { blue: [20, 40, 200], red: [200, 30, 20] };

before(async () => {
  folder = await Deno.makeTempDir();
  for (const [name, color] of Object.entries(COLORS)) {
    await Deno.mkdir(`${folder}/images/${name}`, { recursive: true });
    for (let i = 0; i < 12; i++) {
      const png = encodePng({ width: SIDE, height: SIDE, channels: 3, data: pixels(color, i) });
      await Deno.writeFile(`${folder}/images/${name}/${i}.png`, png);
    }
  }
  const rgba = new Uint8Array(SIDE * SIDE * 4).fill(255);
  for (let i = 0; i < SIDE * SIDE; i++) rgba.set(COLORS.red, 4 * i);
  const { data } = encodeJpeg({ width: SIDE, height: SIDE, data: rgba }, 95);
  await Deno.writeFile(`${folder}/red.jpg`, data);
});

after(async () => await Deno.remove(folder, { recursive: true }));

describe("deno task cnn", () => {
  it("trains on a folder of images, measures the model, and predicts PNG and JPEG images", async () => {
    const model = `${folder}/model.safetensors`;
    const trained = await json(
      ...["train", "--data", `${folder}/images`, "--out", model, "--epochs", "8", "--batch", "6"],
      ...["--mirror", "--crop", "1", "--learning-rate", "0.01", "--validation", "6"],
      ...["--plots", `${folder}/plots`],
    );
    assertEquals(trained.report, `${folder}/plots/report.html`);
    const { page, figures } = await readReport(`${folder}/plots`);
    assert(page.includes(`<td>data</td><td>${folder}/images</td>`));
    assertMatch(figures["wrong-examples"], /none of 6 validation images/);
    assertMatch(figures.confusion, />blue</);
    assertEquals(trained.end, "done");
    assertEquals(trained.classes, ["blue", "red"]);
    assertEquals([trained.epochs, trained.iterations, trained.model], [8, 24, model]);
    assertEquals(trained.validationAccuracy, 1);

    const measured = await json("eval", model, "--data", `${folder}/images`);
    assertEquals([measured.examples, measured.accuracy, measured.top5], [24, 1, 1]);
    assertEquals(measured.confusion, [[12, 0], [0, 12]]);
    assertEquals(measured.reports[1], { class: "red", precision: 1, recall: 1, support: 12 });

    const { code, stdout } = await cnn(
      ...["predict", model, `${folder}/images/blue/3.png`, `${folder}/red.jpg`],
    );
    assertEquals(code, 0);
    assertMatch(
      stdout,
      /^\S+\/blue\/3\.png +blue \d+\.\d% +red .*\n\S+\/red\.jpg +red \d+\.\d% +blue .*\n$/,
    );
    const [blue, red] = await json(
      ...["predict", model, `${folder}/images/blue/3.png`, `${folder}/red.jpg`, "--top", "1"],
    );
    assertEquals([blue.class, red.class, red.top.length], ["blue", "red", 1]);
    assert(red.probability > 0.5 && red.probability <= 1);
    assertEquals(red.file, `${folder}/red.jpg`);

    const other = `${folder}/other.safetensors`, npz = `${folder}/weights.npz`;
    const exported = await json(
      "export",
      model,
      npz,
      `${folder}/net.json`,
      `${folder}/w.safetensors`,
    );
    assertEquals(exported.files.length, 3);
    const { mean, deviation } = exported;
    assertEquals(mean.length, 3);
    const net = ["--net", `${folder}/net.json`, "--classes", "blue,red", "--mean", mean.join()];
    await json("import", npz, ...net, "--deviation", deviation.join(), "--out", other);
    // All that makes a model is there again.
    assertEquals(
      decodeSafetensors(await Deno.readFile(other)),
      decodeSafetensors(await Deno.readFile(model)),
    );
    const { tensors, metadata } = decodeSafetensors(await Deno.readFile(`${folder}/w.safetensors`));
    assertEquals([tensors, metadata], [decodeNpz(await Deno.readFile(npz)), { format: "pt" }]);
    const onnx = `${folder}/model.onnx`, again = `${folder}/again.safetensors`;
    await json("export", model, onnx);
    await json("import", onnx, "--like", model, "--out", again);
    const probabilities = async (file: string) =>
      (await json("predict", file, `${folder}/red.jpg`))[0].top.map(
        (found: { class: string; probability: number }) =>
          `${found.class} ${found.probability.toFixed(5)}`,
      );
    assertEquals(await probabilities(again), await probabilities(model));
    await assertRefused(
      ["import", onnx, "--net", `${folder}/net.json`, "--out", again],
      "--net is not for .onnx, which has its net",
    );
    const { W1, ...rest } = tensors;
    await Deno.writeFile(`${folder}/part.npz`, encodeNpz({ ...rest, W9: W1 }));
    await assertRefused(
      ["import", `${folder}/part.npz`, "--like", model, "--out", other],
      "missing: W1; extra: W9",
    );

    await assertRefused(["predict", model, `${folder}/nowhere.png`], "nowhere.png cannot be read");
    await Deno.writeTextFile(`${folder}/text.png`, "text");
    await assertRefused(["predict", model, `${folder}/text.png`], "must be a PNG or JPEG image");
    const large = { width: 9, height: 8, channels: 3, data: new Uint8Array(9 * 8 * 3) } as const;
    await Deno.writeFile(`${folder}/large.png`, encodePng(large));
    await assertRefused(
      ["predict", model, `${folder}/large.png`],
      "large.png must be of [3,8,8], as the model takes images: it is of [3,8,9] (--resize",
    );
    const tall = { width: 20, height: 30, channels: 3 } as const;
    const data = Uint8Array.from({ length: 20 * 30 * 3 }, (_, k) => COLORS.red[k % 3]);
    await Deno.writeFile(`${folder}/tall.png`, encodePng({ ...tall, data }));
    const [resized] = await json("predict", model, `${folder}/tall.png`, "--resize");
    assertEquals(resized.class, "red");
    await assertRefused(
      ["predict", `${folder}/red.jpg`, "x.png"],
      "must be a model of deno task cnn",
    );
  });

  it("trains a net of a JSON file on the files of MNIST, and resumes from a checkpoint", async () => {
    const N = 30, mnist = `${folder}/mnist`, model = `${folder}/digits.safetensors`;
    await Deno.mkdir(mnist);
    const images = Uint8Array.from({ length: N * 36 }, (_, i) => (Math.floor(i / 36) % 3) * 100);
    const labels = Uint8Array.from({ length: N }, (_, i) => i % 3);
    for (const part of ["train", "t10k"]) {
      await Deno.writeFile(`${mnist}/${part}-images-idx3-ubyte`, idx([N, 6, 6], images));
      await Deno.writeFile(`${mnist}/${part}-labels-idx1-ubyte`, idx([N], labels));
    }
    const net = new Net({
      inputDim: [1, 6, 6],
      layers: [conv(3), relu(), globalAverage(), affine(10)],
      dtype: "float32",
    });
    await Deno.writeTextFile(`${folder}/net.json`, JSON.stringify(net));
    const args = ["train", "--data", mnist, "--net", `${folder}/net.json`, "--out", model];
    const checkpoint = ["--checkpoint", `${folder}/run.checkpoint`, "--batch", "10"];
    const once = await cnn(...args, ...checkpoint, "--epochs", "2");
    assertEquals(once.code, 0, once.stderr);
    assertMatch(once.stdout, /4 of 4 iterations, 2 epochs/);
    const { code, stdout, stderr } = await cnn(...args, ...checkpoint, "--epochs", "2");
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /resumed from .*run.checkpoint after 4 iterations/);
    assertEquals(stdout, once.stdout);
    const best = ["--net", `${folder}/net.json`, "--out", `${folder}/best.safetensors`];
    const imported = await json("import", `${folder}/run.checkpoint`, ...best);
    assertEquals([imported.classes.length, imported.parameters], [10, 3 * 9 + 3 + 3 * 10 + 10]);
    const tensorsOf = async (file: string) => decodeSafetensors(await Deno.readFile(file)).tensors;
    assertEquals(await tensorsOf(imported.model), await tensorsOf(model));
    const explained = await json("explain", model);
    assertEquals(explained.net, net.toJSON());
    assertEquals(explained.kernels.map(({ tier }: { tier: string }) => tier), ["simd", "simd"]);
    await assertRefused(["explain", model, "--stride", "2"], "--stride is for shapes");
    const text = await cnn("eval", model, "--data", mnist, "--limit", "20");
    assertMatch(text.stdout, /^images +20\naccuracy +\d+\.\d%\ntop-5 accuracy +\d+\.\d%\n/);
    assertMatch(text.stdout, /\n +0 +1 +2 +3 +4 +5 +6 +7 +8 +9\n0 /);
    await assertRefused(
      ["eval", model, "--data", `${folder}/images`],
      `${folder}/images must have classes that the model knows`,
    );
    await assertRefused(
      ["train", "--data", `${folder}/images`, "--net", `${folder}/net.json`, "--out", model],
      "net.json must take images of [3,8,8], as the data has them: it has [1,6,6]",
    );
  });

  it("says what is wrong with its arguments", async () => {
    const out = ["--out", `${folder}/x.safetensors`];
    await Promise.all([
      assertRefused(
        [],
        "the command must be one of train, eval, predict, export, import, explain, bench",
      ),
      assertRefused(["trian"], 'received "trian"'),
      assertRefused(["train", ...out], "--data DIR is missing"),
      assertRefused(
        ["train", "--data", `${folder}/images`, "--net", "vgg", ...out],
        "--net must be linear",
      ),
      assertRefused(["train", "--data", `${folder}/red.jpg`, ...out], "it is a file"),
      assertRefused(
        ["train", "--data", `${folder}/images/red`, ...out],
        "must have folders of PNG",
      ),
      assertRefused(["eval", "--data", folder], "give one model file: received 0"),
      assertRefused(["predict", "model"], "give a model file and one image or more"),
      assertRefused(["export", "model"], "give a model file and a file to write"),
      assertRefused(
        ["export", "model", "a.pt"],
        "a.pt must end in .safetensors, .npz, .onnx, .json",
      ),
      assertRefused(["import", "a.npz", ...out], "give one of --like MODEL and --net NET"),
      assertRefused(["import", "a.npz", "--net", "mlp", ...out], "--input C,H,W is missing"),
      assertRefused(["explain", "--x", "1,3,8,8"], "give one of --w"),
      assertRefused(["explain", "--x", "1,3,8,8", "--w", "4,2,3,3"], "channels must match"),
      assertRefused(["bench", "--bogus"], "Unknown option '--bogus' (see --help)"),
    ]);
  });

  it("keeps a net that ends in probabilities, as ONNX models may", async () => {
    const net = new Net({
      inputDim: [3, 8, 8],
      layers: [globalAverage(), affine(2), softmax()],
      loss: crossEntropyLoss,
    });
    const statistics = { mean: [100, 100, 100], deviation: [50, 50, 50] };
    const model = { net, classes: ["blue", "red"], statistics };
    const path = `${folder}/probable.safetensors`;
    await Deno.writeFile(path, encodeModel(model));
    const copy = await readModel(path);
    assertEquals([copy.classes, copy.statistics], [model.classes, statistics]);
    assertEquals(copy.net.state(), net.state());
    const x = zeros([1, 3, 8, 8]);
    for (let i = 0; i < x.data.length; i++) x.data[i] = (COLORS.red[Math.floor(i / 64)] - 100) / 50;
    const data = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, k) => COLORS.red[k % 3]);
    const png = encodePng({ width: SIDE, height: SIDE, channels: 3, data });
    await Deno.writeFile(`${folder}/plain.png`, png);
    const [found] = await json("predict", path, `${folder}/plain.png`);
    assertAlmostEquals(found.probability, Math.max(...net.predict(x).data), 1e-12);
  });

  it("opens folders of images that are parted into train and test", async () => {
    const parent = `${folder}/parted`;
    for (const [part, count] of [["train", 3], ["test", 2]] as const) {
      await Deno.mkdir(`${parent}/${part}/blue`, { recursive: true });
      for (let i = 0; i < count; i++) {
        await Deno.copyFile(`${folder}/images/blue/${i}.png`, `${parent}/${part}/blue/${i}.png`);
      }
    }
    for (const [part, count] of [["train", 3], ["test", 2]] as const) {
      const wanted = { part, channels: 3, limit: Infinity, seed: 0 } as const;
      const { x, classes } = await openDataSet(parent, wanted);
      assertEquals([x.shape, classes], [[count, 3, SIDE, SIDE], ["blue"]]);
    }
  });

  it("says which image is damaged, or of another size than the others", async () => {
    const parent = `${folder}/mixed`;
    await Deno.mkdir(`${parent}/blue`, { recursive: true });
    for (const i of [0, 1, 2]) {
      await Deno.copyFile(`${folder}/images/blue/${i}.png`, `${parent}/blue/${i}.png`);
    }
    const out = ["--out", `${folder}/mixed.safetensors`];
    const args = ["train", "--data", parent, ...out, "--validation", "1"];
    const large = { width: 9, height: 8, channels: 3, data: new Uint8Array(9 * 8 * 3) } as const;
    await Deno.writeFile(`${parent}/blue/2.png`, encodePng(large));
    await assertRefused(args, `2.png must be 8 x 8 like ${parent}/blue/0.png: it is 8 x 9`);
    await Deno.writeTextFile(`${parent}/blue/2.png`, "text");
    await assertRefused(args, `${parent}/blue/2.png must be a PNG or JPEG image`);
  });

  it("stops at Ctrl-C, and writes what was reached", async () => {
    const model = `${folder}/stopped.safetensors`;
    const args = ["train", "--data", `${folder}/images`, "--out", model, "--epochs", "100000"];
    const { code, stdout } = await interrupt(SCRIPT, args);
    assertEquals(code, 130);
    assertMatch(stdout, /^stopped by Ctrl-C after \d+ of 100000 iterations/);
    assertEquals((await readModel(model)).classes, ["blue", "red"]);
  });

  it("opens the files of CIFAR-10, and draws as many as are wanted", async () => {
    const SIZE = 10_000, RECORD = 3073, parent = `${folder}/cifar`;
    await Deno.mkdir(`${parent}/cifar-10-batches-bin`, { recursive: true });
    const bytes = new Uint8Array(SIZE * RECORD);
    for (let i = 0; i < SIZE; i++) bytes.fill(i % 10, i * RECORD, (i + 1) * RECORD);
    await Deno.writeFile(`${parent}/cifar-10-batches-bin/test_batch.bin`, bytes);
    const wanted = { part: "test", channels: 3, limit: 25, seed: 0 } as const;
    const { x, y, classes } = await openDataSet(parent, wanted);
    assertEquals([x.shape, classes.length, classes[9]], [[25, 3, 32, 32], 10, "truck"]);
    assertEquals(Array.from(y), Array.from({ length: 25 }, (_, i) => i % 10));
    await assertRejects(
      () => openDataSet(parent, { ...wanted, part: "train" }),
      InputError,
      "data_batch_1.bin",
    );
  });

  it("explains and times a convolution, a pool and a fully-connected layer", async () => {
    const quick = ["--budget", "5"];
    const convolution = ["--x", "2,3,9,9", "--w", "4,3,3,3", "--stride", "2"];
    const [conv, pool, affine, text] = await Promise.all([
      json("explain", ...convolution, ...quick),
      json("explain", "--x", "2,3,8,8", "--average", "2,2", "--stride", "2", ...quick),
      json("explain", "--x", "5,8", "--w", "8,3", "--dtype", "float64", ...quick),
      // The two dashes are Deno's.
      cnn("--", "explain", ...convolution, ...quick),
    ]);
    assertEquals([conv.layer, conv.tier, conv.dtype], ["convolution", "simd", "float32"]);
    assertMatch(conv.name, /^conv-3x9x9-4x3x3-s2-f32-batched-simd$/);
    assert(conv.forward.gigaflops > 0 && conv.backward.milliseconds > 0);
    assertEquals([pool.layer, pool.forward.gigaflops], ["average pool", null]);
    assertEquals([affine.layer, affine.dtype], ["fully-connected layer", "float64"]);
    assertMatch(
      text.stdout,
      /tier +simd\nkernel +conv-3x9x9-4x3x3-s2-f32-batched-simd\nreason +simd: /,
    );
    assertMatch(text.stdout, /\nforward +[\d.]+ +[\d.]+\nbackward +[\d.]+ +[\d.]+\n$/);
  });

  it("times every tier that serves a shape", async () => {
    const shape = ["--x", "2,3,31,31", "--w", "25,3,3,3", "--stride", "2", "--pad", "1"];
    const [all, text] = await Promise.all([
      json("bench", ...shape, "--budget", "5"),
      cnn("bench", ...shape, "--dilation", "3", "--tiers", "generated,simd", "--budget", "5"),
    ]);
    const tiers = all.results.map(({ tier, name }: { tier: string; name: string }) => [tier, name]);
    assertEquals(tiers.map(([tier]: string[]) => tier), ["naive", "generated", "simd"]);
    assertEquals(tiers[1][1], "conv-3x31x31-25x3x3-s2p1-generated");
    assertMatch(text.stdout, /^A convolution of float32\n\n\| direction/);
    assertMatch(text.stdout, /\nNot served by: generated\n$/);
  });
});
