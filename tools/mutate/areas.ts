/**
 * Which tests are to notice a fault in which folder.
 *
 * @module
 */

/** A folder whose code is mutated, and the tests that answer for it. */
export interface Area {
  /** The folder, from the root; what lies below it belongs to it unless a longer name here does. */
  readonly folder: string;
  /** Ends of test files' paths, without `_test.ts`; the likeliest first. */
  readonly tests: readonly string[];
}

/**
 * The table. A file's own test (the one of the same name) always goes first; the area's follow in this
 * order until one fails.
 */
export const areas: readonly Area[] = [
  { folder: "codegen", tests: ["codegen", "generated"] },
  { folder: "examples/lib", tests: ["download", "progress", "train_mnist", "train_cifar10"] },
  { folder: "io", tests: ["io/safetensors", "io/npz", "io/pictures", "io/idx"] },
  { folder: "io/onnx", tests: ["io/onnx", "io/onnx_import"] },
  { folder: "io/worker", tests: ["worker/refusals", "io/worker/worker"] },
  {
    folder: "kernels",
    tests: [
      "shape",
      "kernels/tier",
      "simd/special",
      "cost",
      "layers/conv",
      "layers/conv_transpose",
      "layers/conv_refusals",
      "layers/pool_refusals",
      "generated",
      "conv_layers",
      "simd/conv",
      "codegen",
    ],
  },
  { folder: "kernels/naive", tests: ["conv_layers", "layers", "simd/special", "simd/affine"] },
  {
    folder: "kernels/simd",
    tests: [
      "simd/assembler",
      "cost",
      "simd/special",
      "simd/conv",
      "simd/affine",
      "simd/max_pool",
      "simd/average_pool",
      "simd/interpreter",
      "simd/memory",
      "simd/lopsided",
      "simd/sums",
    ],
  },
  {
    folder: "nn",
    tests: [
      "layers",
      "backward_caches",
      "layer_utils",
      "normalization",
      "optim",
      "random_state",
      "gradient_check",
      "cifar10",
      "crop_and_mirror",
      "augmentation",
      "split",
      "batches",
      "pairwise_sum",
      "nets/joint",
      "averages",
      "solver_groups",
      "metrics",
      "test_time",
      "learning_rate_finder",
      "vis_utils",
      "conv_layers",
      "shape",
      "schedules",
      "solver",
      "solver_resume",
      "solver_failure",
      "solver_options",
      "nets",
      "checkpoint",
      "cost",
      "nn/lopsided",
    ],
  },
  {
    folder: "nn/layers",
    tests: [
      "conv_refusals",
      "pool_refusals",
      "conv_layers",
      "sequence",
      "layers",
      "layer_utils",
      "normalization",
      "backward_caches",
      "nn/layers/conv",
      "conv_transpose",
      "nn/layers/average_pool",
      "nn/layers/max_pool",
      "global_pool",
      "shape",
      "nets",
      "cost",
    ],
  },
  { folder: "tools", tests: ["mutate", "options", "files", "train_mnist"] },
  { folder: "tools/plots", tests: ["plots/figures", "plots/report"] },
];

/** Files below the areas' folders that are not mutated: made by programs, or tables of data. */
export const excluded: readonly RegExp[] = [
  /^kernels\/generated\/kernels\//,
  // Their tests start workers, which take more address space than a copy is given.
  /^kernels\/threads\//,
  // Theirs start jobs, whose processes would wait for each other forever.
  /^io\/mpi\//,
  /^tools\/mutate\/(main|workers)\.ts$/,
];

/** The area of a file: the one with the longest folder that holds it. */
export function areaOf(file: string, table: readonly Area[] = areas): Area | undefined {
  return table
    .filter(({ folder }) => file.startsWith(`${folder}/`))
    .sort((a, b) => b.folder.length - a.folder.length)[0];
}

/**
 * The test files that answer for a file, in the order in which they run.
 *
 * @param file The file with the fault.
 * @param testFiles Every test file there is.
 * @param table The areas.
 * @returns Paths out of `testFiles`.
 * @throws {RangeError} If no area holds the file, or a test that the table names does not exist.
 */
export function testsOf(
  file: string,
  testFiles: readonly string[],
  table: readonly Area[] = areas,
): string[] {
  const area = areaOf(file, table);
  if (area === undefined) throw new RangeError(`No area holds ${file}`);
  const named = (name: string) => testFiles.filter((test) => test.endsWith(`/${name}_test.ts`));
  const listed = area.tests.flatMap((name) => {
    const found = named(name);
    if (found.length === 0) throw new RangeError(`There is no ${name}_test.ts for ${area.folder}`);
    return found;
  });
  return [...new Set([...named(baseName(file).replace(/\.ts$/, "")), ...listed])];
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
