import { after, describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import {
  affine,
  convForward,
  ConvNet,
  cosineSchedule,
  cropAndMirror,
  type DType,
  evalNumericalGradient,
  lookahead,
  Net,
  RandomState,
  relError,
  Solver,
  type Tensor,
  tensor,
  ThreeLayerConvNet,
  zeros,
} from "../../mod.ts";
import { fastNet, scale, whiten } from "../../examples/lib/fast.ts";
import { eigen, whiteningFilters } from "../../examples/lib/whitening.ts";
import { recipes } from "../../examples/lib/recipes.ts";
import { assertRefused, interrupt, run } from "../support/command.ts";
import { noMpi, runTask } from "../support/mpi.ts";
import { readReport } from "../support/report.ts";

/** Images of noise, each class with a bright bar of its own place and color. */
function made(count: number, size: number, seed: number): { x: Tensor<Float32Array>; y: number[] } {
  const random = new RandomState(seed), x = random.randn([count, 3, size, size], "float32");
  const y = Array.from({ length: count }, (_, i) => i % 10);
  for (let n = 0; n < count; n++) {
    const row = Math.floor(y[n] / 3) * Math.floor(size / 4), plane = y[n] % 3;
    const from = ((n * 3 + plane) * size + row) * size;
    for (let i = from; i < from + size; i++) x.data[i] += 2;
  }
  return { x, y };
}

describe("the course's experiments, small", () => {
  const train = made(200, 8, 1), val = made(100, 8, 2);
  const data = { xTrain: train.x, yTrain: train.y, xVal: val.x, yVal: val.y };
  const small = { inputDim: [3, 8, 8], dtype: "float32" } as const;

  it("an untrained net's loss is ln(10), and more with regularization", () => {
    const { loss } = new ThreeLayerConvNet(small).loss(train.x, train.y);
    assertAlmostEquals(loss, Math.log(10), 1e-3);
    const regularised = new ThreeLayerConvNet({ ...small, reg: 0.5 }).loss(train.x, train.y).loss;
    assert(regularised > loss && regularised < loss + 1, `${regularised}`);
  });

  it("a net overfits a few images, even if there is nothing in them", () => {
    const random = new RandomState(3);
    const noise = { x: random.randn([50, 3, 8, 8], "float32"), y: random.randint(0, 10, 50) };
    const net = new ThreeLayerConvNet({ ...small, weightScale: 1e-1, random });
    const solver = new Solver(net, { ...data, xTrain: noise.x, yTrain: noise.y }, {
      ...recipes.overfit.solver,
      optimConfig: { learningRate: recipes.overfit.learningRate },
      batchSize: 25,
      verbose: false,
      random,
    });
    solver.train();
    assert(solver.trainAccHistory.at(-1)! >= 0.9, `${solver.trainAccHistory}`);
    assert(solver.bestValAcc < 0.4, `${solver.valAccHistory}`);
  });

  it("one epoch teaches more than 40 % where there is something to learn", () => {
    const net = new ThreeLayerConvNet({ ...small, weightScale: 1e-1, reg: 1e-3 });
    const solver = new Solver(net, data, {
      updateRule: "adam",
      optimConfig: { learningRate: 3e-3 },
      batchSize: 10,
      numEpochs: 1,
      verbose: false,
    });
    solver.train();
    assert(solver.bestValAcc > 0.4, `${solver.valAccHistory}`);
  });

  it("a deeper net learns augmented images with a schedule", () => {
    const random = new RandomState(0);
    const net = new ConvNet({
      ...small,
      blocks: [
        { conv: 8, batchnorm: true },
        { conv: 16, batchnorm: true, pool: 2 },
        { affine: 32, batchnorm: true },
      ],
      random,
    });
    const solver = new Solver(net, data, {
      updateRule: "adamw",
      optimConfig: { learningRate: 1e-2 },
      schedule: cosineSchedule({ warmup: 0.1 }),
      augment: cropAndMirror({ pad: 0 }),
      batchSize: 20,
      numEpochs: 4,
      verbose: false,
      random,
    });
    solver.train();
    assert(solver.bestValAcc > 0.8, `${solver.valAccHistory}`);
  });

  it("float32 and float64 give the same curve for 50 iterations", () => {
    const curve = (dtype: DType) => {
      const net = new ThreeLayerConvNet({
        ...{ inputDim: [3, 8, 8], weightScale: 1e-2, batchnorm: true, reg: 1e-3 },
        dtype,
        random: new RandomState(0),
      });
      const solver = new Solver(net, data, {
        updateRule: "sgdMomentum",
        optimConfig: { learningRate: 1e-2 },
        batchSize: 20,
        numEpochs: 5,
        verbose: false,
      });
      solver.train();
      return solver.lossHistory;
    };
    const single = curve("float32"), double = curve("float64");
    assertEquals(double.length, 50);
    assert(double[49] < 0.7 * double[0], "nothing was learned");
    for (const [i, loss] of double.entries()) assertAlmostEquals(single[i], loss, 1e-3);
  });
});

describe("recipes", () => {
  it("have the layers that they tell of", () => {
    const weights = Object.entries(recipes).map(([name, { net }]) => {
      const params = Object.entries(net(new RandomState(0), 0).params);
      const shapes = params.filter(([name]) => name.startsWith("W"));
      return [name, ...shapes.map(([, { shape }]) => shape.join("x"))];
    });
    const stage = (from: number, to: number) => [
      `${to}x${from}x3x3`,
      `${to}x${to}x3x3`,
      ...(from === to ? [] : [`${to}x${from}x1x1`]),
      ...Array<string>(4).fill(`${to}x${to}x3x3`),
    ];
    const resnet20 = ["16x3x3x3", ...stage(16, 16), ...stage(16, 32), ...stage(32, 64)];
    assertEquals(weights, [
      ["overfit", "32x3x7x7", "8192x100", "100x10"],
      ["epoch", "32x3x7x7", "8192x500", "500x10"],
      ["course", "32x3x5x5", "8192x256", "256x10"],
      [
        "deep",
        "32x3x3x3",
        "64x32x3x3",
        "64x64x3x3",
        "128x64x3x3",
        "128x128x3x3",
        "256x128x3x3",
        "256x10",
      ],
      ["resnet20", ...resnet20, "64x10"],
      [
        "fast",
        "24x3x2x2",
        "64x24x3x3",
        "64x64x3x3",
        "256x64x3x3",
        "256x256x3x3",
        "256x256x3x3",
        "256x256x3x3",
        "256x10",
      ],
    ]);
  });

  it("all make nets for CIFAR-10's images", () => {
    const x = zeros([1, 3, 32, 32], "float32");
    for (const { net } of Object.values(recipes)) {
      assertEquals(net(new RandomState(0), 0).loss(x).shape, [1, 10]);
    }
  });
});

describe("the recipe fast", () => {
  const random = new RandomState(0), x = random.randn([60, 3, 32, 32], "float32");
  // Colors that have much to do with each other, and neighbors too.
  for (let i = 0; i < x.data.length; i++) {
    x.data[i] = 0.5 * x.data[i] + (i > 0 ? x.data[i - 1] : 0) * 0.4;
  }

  it("starts from filters whose outputs have variance 1 and nothing to do with each other", () => {
    const filters = whiteningFilters(x, 2),
      w = tensor(Float32Array.from(filters.data), filters.shape);
    const { out } = convForward(x, w, null, { stride: 1, pad: 0 });
    const [N, F, H, W] = out.shape, plane = H * W;
    for (let f = 0; f < F; f++) {
      for (let g = 0; g <= f; g++) {
        let sum = 0;
        for (let n = 0; n < N; n++) {
          for (let i = 0; i < plane; i++) {
            sum += out.data[(n * F + f) * plane + i] * out.data[(n * F + g) * plane + i];
          }
        }
        assertAlmostEquals(sum / (N * plane), Number(f === g), 0.01);
      }
    }
    const net = fastNet(new RandomState(0), 0);
    whiten(net, x);
    const W1 = net.params.W1.data;
    for (let i = 0; i < 144; i++) assertEquals([W1[i], W1[144 + i]], [w.data[i], -w.data[i]]);
  });

  it("finds eigenvalues and eigenvectors", () => {
    const D = 5, half = random.randn([D, D]).data;
    const at = (i: number, j: number) => half[i * D + j] + half[j * D + i];
    const matrix = Float64Array.from({ length: D * D }, (_, k) => at(Math.floor(k / D), k % D));
    const { values, vectors } = eigen(matrix, D);
    for (let e = 0; e < D; e++) {
      for (let i = 0; i < D; i++) {
        let sum = 0;
        for (let j = 0; j < D; j++) sum += at(i, j) * vectors[j * D + e];
        assertAlmostEquals(sum, values[e] * vectors[i * D + e], 1e-13);
      }
    }
    for (let e = 0; e < D; e++) {
      for (let f = 0; f <= e; f++) {
        let dot = 0;
        for (let i = 0; i < D; i++) dot += vectors[i * D + e] * vectors[i * D + f];
        assertAlmostEquals(dot, Number(e === f), 1e-14);
      }
    }
  });

  it("passes channels on where filters have them, and scales its scores", () => {
    const { params } = fastNet(new RandomState(0), 0);
    const delta = zeros([64, 64, 3, 3], "float32").data;
    for (let f = 0; f < 64; f++) delta[(f * 64 + f) * 9 + 4] = 1;
    assertEquals(params.W3.data, delta);
    assertEquals(params.W4.data.slice(0, 64 * 64 * 9), delta);
    assert(params.W4.data.slice(64 * 64 * 9).every((w) => w !== 0 && Math.abs(w) <= 1 / 24));
    const net = new Net({ inputDim: 3, layers: [affine(2), scale(0.25)] });
    const plain = new Net({ inputDim: 3, layers: [affine(2)] });
    const some = random.randn([4, 3]);
    const scores = plain.predict(some).data.map((v) => v / 4);
    assertEquals(net.predict(some).data, scores);
    assert(gradCheck(net, some) < 1e-8);
  });

  it("learns images, and freezes what it says", () => {
    const { fast } = recipes, train = made(40, 32, 7);
    const net = fastNet(new RandomState(1), 0);
    whiten(net, train.x);
    const before = { ...net.params, W1: tensor(net.params.W1.data.slice(), net.params.W1.shape) };
    const data = { xTrain: train.x, yTrain: train.y, xVal: train.x, yVal: train.y };
    const solver = new Solver(net, data, {
      ...fast.solver,
      optimConfig: { ...fast.optimConfig, learningRate: fast.learningRate / 10 },
      paramGroups: fast.paramGroups(fast.learningRate / 10),
      batchSize: 20,
      numEpochs: 4,
      // As often for these few iterations as the recipe does for its many.
      average: lookahead({ every: 2 }),
      numTrainSamples: 1,
      numValSamples: 1,
      verbose: false,
    });
    solver.train();
    assertEquals(net.params.W1, before.W1);
    assert(net.params.gamma2.data.every((gamma) => gamma === 1));
    assert(net.params.beta2.data.some((beta) => beta !== 0));
    const { lossHistory: losses } = solver;
    assert(losses.at(-1)! < losses[0] - 0.2, `${losses}`);
  });
});

/** The relative error of a net's gradients. */
function gradCheck(net: Net, x: Tensor<Float64Array>): number {
  const y = [0, 1, 1, 0], { grads } = net.loss(x, y);
  return Math.max(
    ...Object.entries(grads).map(([name, gradient]) =>
      relError(gradient, evalNumericalGradient(() => net.loss(x, y).loss, net.params[name]))
    ),
  );
}

/** A folder as the archive unpacks it, with made images; two of the six files are enough here. */
async function makeFolder(): Promise<string> {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/cifar-10-batches-bin`);
  for (const [i, name] of ["data_batch_1", "test_batch"].entries()) {
    const { x, y } = made(1000, 32, i);
    const bytes = new Uint8Array(10_000 * 3073);
    for (let n = 0; n < 10_000; n++) {
      bytes[n * 3073] = y[n % 1000];
      const image = (n % 1000) * 3072;
      for (let p = 0; p < 3072; p++) bytes[n * 3073 + 1 + p] = 128 + 20 * x.data[image + p];
    }
    await Deno.writeFile(`${folder}/cifar-10-batches-bin/${name}.bin`, bytes);
  }
  return folder;
}

const folder = await makeFolder();

describe("deno task cifar10", () => {
  after(() => Deno.remove(folder, { recursive: true }));
  const small = ["--data", folder, "--recipe", "overfit", "--limit", "40", "--batch", "20"];

  it("checks the losses of untrained nets", async () => {
    const { code, stdout } = await run("examples/train_cifar10.ts", [
      "--data",
      folder,
      "--recipe",
      "check",
    ]);
    assertEquals(code, 0);
    const [guess, none, half] = stdout.trim().split("\n").map((line) => Number(line.slice(-8)));
    assertAlmostEquals(guess, Math.log(10), 1e-6);
    assertAlmostEquals(none, guess, 0.01);
    assertAlmostEquals(half, 2.5, 0.05);
  });

  it("trains, tells which kernels ran, and draws what came of it", async () => {
    const plots = `${folder}/plots`;
    const { code, stdout } = await run("examples/train_cifar10.ts", [
      ...["--epochs", "2", "--crop", "2", "--mirror", "--plots", plots],
      ...small,
    ]);
    assertEquals(code, 0);
    assertMatch(stdout, /^4 of 4 iterations, 2 epochs, loss \d\.\d+\n/);
    assertMatch(stdout, /\ngoal +more than 90.0% training accuracy: (reached|missed)\n/);
    assertMatch(stdout, /\nconv1 +conv-3x32x32-32x7x7-s1p3\S* +(simd|generated|naive)\n/);
    const { page, figures } = await readReport(plots);
    for (const row of ["<td>epochs</td><td>2</td>", "<td>batch</td><td>20</td>"]) {
      assert(page.includes(row), row);
    }
    // What the recipe says, where nothing was asked for.
    assert(page.includes("<td>learning-rate</td><td>0.001</td>"));
    assertMatch(figures.confusion, />automobile</);
    assertMatch(figures.filters, /filters of conv1, 7 x 7/);
  });

  it("trains on ranks, with what one process gives", { skip: noMpi }, async () => {
    const changes = ["--epochs", "2", "--crop", "2", "--mirror", "--micro-batches", "4"];
    const one = await run("examples/train_cifar10.ts", [...small, ...changes]);
    const { code, stdout, stderr } = await runTask(2, "cifar10", [...small, ...changes, "--mpi"]);
    assertEquals([code, stdout], [0, one.stdout], stderr);
  });

  it("resumes after Ctrl-C with the losses of a run that was not stopped", async () => {
    const checkpoint = ["--checkpoint", `${folder}/run.safetensors`, "--epochs", "2"];
    const stopped = await interrupt("examples/train_cifar10.ts", [...small, ...checkpoint]);
    assertEquals(stopped.code, 130);
    assertMatch(stopped.stdout, /^stopped by Ctrl-C after \d of 4 iterations/);
    const resumed = await run("examples/train_cifar10.ts", [...small, ...checkpoint]);
    assertMatch(resumed.stderr, /^resumed from \S+run.safetensors after \d iterations\n/);
    const whole = await run("examples/train_cifar10.ts", [...small, "--epochs", "2"]);
    assertEquals(resumed.stdout, whole.stdout);
    assertEquals([resumed.code, whole.code], [0, 0]);
    // The file is of this run and no other.
    await assertRefused(
      "examples/train_cifar10.ts",
      [...small, ...checkpoint, "--batch", "10"],
      `${checkpoint[1]} cannot be resumed from: checkpoint must be of batchSize 10: ` +
        `it is of batchSize 20`,
    );
  });

  it("tries what it shall write before it begins", async () => {
    const file = `${folder}/file`, name = "wrong-examples.png";
    await Deno.writeTextFile(file, "");
    await Deno.mkdir(`${folder}/drawn/${name}`, { recursive: true });
    const args = ["--data", "/nowhere", "--recipe", "overfit"];
    await assertRefused(
      "examples/train_cifar10.ts",
      [...args, "--checkpoint", folder],
      `${folder} must be a file: it is a folder`,
    );
    await assertRefused(
      "examples/train_cifar10.ts",
      [...args, "--plots", `${folder}/drawn`],
      `${folder}/drawn/${name} must be a file: it is a folder`,
    );
    const { code, stderr } = await run("examples/train_cifar10.ts", [...args, "--plots", file]);
    assertEquals(code, 2);
    assertMatch(stderr, /^Error: \S+file cannot be written: .*\n$/);
  });

  it("says where the data is if there is none", async () => {
    await assertRefused(
      "examples/train_cifar10.ts",
      ["--data", "/nowhere"],
      "/nowhere has no data_batch_1.bin: CIFAR-10 comes from " +
        "https://www.cs.toronto.edu/~kriz/cifar.html, file cifar-10-binary.tar.gz, " +
        "MD5 c32a1d4ab5d03f1284b67883e8d87530; --download fetches it",
    );
  });

  it("says in one line what is wrong with its data", async () => {
    const damaged = await Deno.makeTempDir();
    await Deno.writeFile(`${damaged}/data_batch_1.bin`, new Uint8Array(3073));
    const message = "data_batch_1.bin must have 30730000 bytes, 10000 records of 3073: it has 3073";
    await assertRefused("examples/train_cifar10.ts", ["--data", damaged], message);
    await assertRefused(
      "examples/train_cifar10.ts",
      [...small, "--checkpoint", `${damaged}/data_batch_1.bin`],
      `${damaged}/data_batch_1.bin cannot be resumed from: bytes must be a checkpoint of encodeCheckpoint`,
    );
    await Deno.remove(`${damaged}/data_batch_1.bin`);
    await Deno.mkdir(`${damaged}/data_batch_1.bin`);
    const dir = await run("examples/train_cifar10.ts", ["--data", damaged]);
    assertEquals(dir.code, 2);
    assertMatch(dir.stderr, /^Error: EISDIR.*\n$/);
    // More is asked for than one file holds, and the second is missing.
    const { code, stderr } = await run("examples/train_cifar10.ts", ["--data", folder]);
    assertEquals(code, 2);
    assertMatch(stderr, /^Error: .*data_batch_2\.bin.*\n$/);
  });

  it("says in one line what is wrong with its options, and which it has", async () => {
    await assertRefused(
      "examples/train_cifar10.ts",
      ["--recipe", "cake"],
      '--recipe must be one of check, overfit, epoch, course, deep, resnet20, fast: received "cake"',
    );
    await assertRefused(
      "examples/train_cifar10.ts",
      ["--crop", "0.5"],
      '--crop must be a whole number from 0 to 32: received "0.5"',
    );
    await assertRefused(
      "examples/train_cifar10.ts",
      ["--reg", "Infinity"],
      '--reg must be a number from 0 to 1000: received "Infinity"',
    );
    await assertRefused(
      "examples/train_cifar10.ts",
      ["--recipe", "check", "--epochs", "3"],
      "--epochs must be left out with --recipe check, which trains nothing",
    );
    const { stdout } = await run("examples/train_cifar10.ts", ["--help"]);
    for (const name of ["recipe", "data", "download", "checkpoint", "crop", "mirror", "plots"]) {
      assertMatch(stdout, new RegExp(`\n  --${name} `));
    }
  });
});
