/**
 * `deno task train`: a three-layer convolutional net learns to read handwritten digits.
 *
 * @module
 */

import { cosineSchedule, RandomState, Solver, ThreeLayerConvNet, useKernels } from "../mod.ts";
import { readMnist } from "./lib/mnist.ts";
import {
  helpText,
  InputError,
  number,
  path,
  readOptions,
  runCommand,
  whole,
  word,
} from "./lib/options.ts";
import { percent, trainWithBar } from "./lib/progress.ts";
import { kernelTable } from "./lib/report.ts";

const options = {
  epochs: whole(4, 1, "passes over the training digits"),
  filters: whole(8, 1, "filters of the convolution"),
  "filter-size": whole(5, 1, "height and width of a filter, an odd number"),
  hidden: whole(100, 1, "neurons of the hidden layer"),
  batch: whole(100, 1, "digits in a batch"),
  "learning-rate": number(3e-3, 0, "how far a step of adam goes"),
  seed: whole(0, 0, "seed of the weights and batches: the same one gives the same losses"),
  limit: whole(undefined, 1, "use at most so many digits of each kind"),
  kernels: word("auto", ["auto", "simd", "generated", "naive"], "which kernels run"),
  data: path("folder with the four IDX files of MNIST, packed with gzip or not"),
  out: path("folder for curves and pictures of the filters"),
};

async function main(): Promise<number> {
  const values = readOptions(options, Deno.args);
  if (values === undefined) {
    const about = "Trains a three-layer convolutional net on the 60,000 digits of MNIST.";
    console.log(helpText("deno task train", about, options));
    return 0;
  }
  if (values["filter-size"] % 2 === 0) {
    throw new InputError(`--filter-size must be odd: received ${values["filter-size"]}`);
  }
  useKernels(values.kernels);
  const { xTest, yTest, ...data } = await readMnist(values.data, values.limit);
  const random = new RandomState(values.seed);
  const net = new ThreeLayerConvNet({
    inputDim: [1, 28, 28],
    numFilters: values.filters,
    filterSize: values["filter-size"],
    hiddenDim: values.hidden,
    weightScale: "he",
    reg: 3e-4,
    dtype: "float32",
    random,
  });
  const solver = new Solver(net, data, {
    updateRule: "adam",
    optimConfig: { learningRate: values["learning-rate"] },
    schedule: cosineSchedule(),
    batchSize: values.batch,
    numEpochs: values.epochs,
    verbose: false,
    random,
  });
  const { end, iteration, iterations, loss, epoch } = await trainWithBar(solver);
  const stopped = end === "stopped" ? `stopped by Ctrl-C after ` : "";
  console.log(`${stopped}${iteration} of ${iterations} iterations, ${epoch} epochs, loss ${loss}`);
  console.log(`training accuracy    ${percent(solver.checkAccuracy(data.xTrain, data.yTrain))}`);
  console.log(`validation accuracy  ${percent(solver.checkAccuracy(data.xVal, data.yVal))}`);
  console.log(`test accuracy        ${percent(solver.checkAccuracy(xTest, yTest))}`);
  console.log(`\n${kernelTable(net)}`);
  if (values.out !== undefined) {
    // Loaded only where they are wanted, as they take their time.
    const { writeGrid } = await import("./lib/pictures.ts");
    const { writeCurves } = await import("./lib/curves.ts");
    await Deno.mkdir(values.out, { recursive: true });
    await writeGrid(`${values.out}/mnist-filters.png`, net.params.W1, 8);
    await writeCurves(values.out, "mnist", solver);
    console.log(`\nfilters and curves are in ${values.out}`);
  }
  return end === "stopped" ? 130 : 0;
}

await runCommand(main);
