/**
 * A training run whose every bit is known: in any host, on a bundle of mod.ts.
 *
 * A change of the arithmetic changes the hash on purpose; `deno run tests/support/reproducible.ts` prints the
 * new one.
 *
 * @module
 */

type Library = typeof import("../../mod.ts");

/** The hash of the final parameters and of all losses, in both dtypes. */
export const TRAINING_HASH = "c66d672eb974ac34d91d16b0a9122aea5a33ab38304d2f81e9ded32bb275fb8c";

/** What a training run left behind, and how its kernels ran. */
export interface TrainingReport {
  readonly hash: string;
  /** Why each layer's kernel was chosen. */
  readonly reasons: readonly string[];
}

const ITERATIONS = 100;

/** Trains a net that has every kind of layer: all losses, then the last parameters. */
function train(lib: Library, dtype: "float32" | "float64") {
  const random = new lib.RandomState(231);
  const xTrain = random.randn([20, 2, 9, 9], dtype), yTrain = random.randint(0, 4, 20);
  const net = new lib.ConvNet({
    inputDim: [2, 9, 9],
    numClasses: 4,
    dtype,
    random,
    reg: 1e-3,
    blocks: [
      { conv: 5, batchnorm: true, pool: 2 },
      { conv: 6, stride: 2, batchnorm: true, dropout: 0.9 },
      { affine: 11, batchnorm: true, dropout: 0.7 },
      { affine: 7, layernorm: true },
    ],
  });
  const solver = new lib.Solver(net, { xTrain, yTrain, xVal: xTrain, yVal: yTrain }, {
    updateRule: "adam",
    optimConfig: { learningRate: 1e-2 },
    lrDecay: 0.97,
    schedule: lib.cosineSchedule({ warmup: 0.1 }),
    augment: lib.cropAndMirror({ pad: 1 }),
    batchSize: 5,
    numEpochs: ITERATIONS / 4,
    verbose: false,
    random,
  });
  const numbers: (Float32Array | Float64Array)[] = [];
  solver.train({
    onProgress: ({ iteration }) => {
      // The best parameters take their place at the end.
      if (iteration !== ITERATIONS) return;
      numbers.push(...Object.values(net.params).map(({ data }) => data.slice()));
    },
  });
  const reasons = net.explain().map(({ reason }) => reason);
  return { numbers: [Float64Array.from(solver.lossHistory), ...numbers], reasons };
}

/** Trains under reproducible arithmetic, in both dtypes. */
export async function reportTraining(lib: Library): Promise<TrainingReport> {
  const choice = lib.useArithmetic("reproducible");
  try {
    const trainings = (["float32", "float64"] as const).map((dtype) => train(lib, dtype));
    const parts = trainings.flatMap(({ numbers }) =>
      numbers.map((part) => Uint8Array.from(new Uint8Array(part.buffer)))
    );
    const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
    const digits = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0"));
    return { hash: digits.join(""), reasons: trainings.flatMap(({ reasons }) => reasons) };
  } finally {
    choice[Symbol.dispose]();
  }
}

if (import.meta.main) console.log((await reportTraining(await import("../../mod.ts"))).hash);
