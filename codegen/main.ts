/**
 * The generator's command: writes the kernels of configs.ts, or kernels for a user's own shapes.
 *
 * @module
 */

import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Family, familyLabel } from "../kernels/shape.ts";
import { MAX_NUMBERS, stagedNumbers } from "../kernels/generated/staging.ts";
import { orInputError } from "../tools/files.ts";
import { geometryOf, geometryOptions } from "../tools/geometry.ts";
import type { Geometry } from "../tools/modules.ts";
import { flag, InputError, path, runCommand, type Values } from "../tools/options.ts";
import {
  averagePoolFamilies,
  convConfigs,
  convConfigShape,
  convFamilies,
  convFamilyLabel,
  poolConfigs,
  poolConfigShape,
  poolFamilies,
  rowLabel,
} from "./configs.ts";
import { averagePool, exactConv, familyConv, type KernelSource, maxPool } from "./kernels.ts";
import {
  FIRST_LINE,
  type GeneratedFile,
  indexFile,
  kernelFile,
  type PrintOptions,
} from "./print.ts";

const options = {
  check: flag("write nothing, but fail if kernels/generated/kernels/ is not what would be written"),
  ...geometryOptions,
  out: path("folder to write; importing DIR/index.ts registers the kernel"),
  module: path("what the files import the library from (default: this copy)"),
};

const about = `Generates TypeScript kernels.

  deno task codegen                write the kernels of codegen/configs.ts to kernels/generated/kernels/
  deno task codegen --check        fail if kernels/generated/kernels/ is not what would be written
  deno task codegen --x 64,56,56 --w 128,64,3,3 --stride 1 --pad 1 --out my_kernels/
                                   write a kernel for a convolution of your own
  deno task codegen --x 64,56,56 --w 64,1,3,3 --pad 2 --dilation 2 --groups 64 --out my_kernels/
                                   write one for a dilated depthwise convolution
  deno task codegen --x 64,56,56 --pool 3,3 --stride 2 --pad 1 --out my_kernels/
                                   write a kernel for a max-pool of your own; --average: an average pool`;

const generatedFolder = fileURLToPath(new URL("../kernels/generated/kernels/", import.meta.url));
const moduleFile = fileURLToPath(new URL("../mod.ts", import.meta.url));

/** Every file of kernels/generated/kernels/: one for each window, so that an import by URL fetches few. */
export function repositoryFiles(): GeneratedFile[] {
  const options: PrintOptions = {
    types: "../kernel.ts",
    command: "deno task codegen",
    test: "tests/kernels/generated/generated_test.ts",
  };
  const convs = [
    ...convConfigs.map((config) => {
      const shape = convConfigShape(config);
      return { of: shape as Family, source: exactConv(shape, rowLabel("convConfigs", config)) };
    }),
    ...convFamilies.map((of) => ({
      of: of as Family,
      source: familyConv(of, `convFamilies, ${convFamilyLabel(of)}`),
    })),
  ];
  const pools = [
    ...poolConfigs.map((config) => {
      const shape = poolConfigShape(config);
      return { of: shape as Family, source: maxPool(shape, rowLabel("poolConfigs", config)) };
    }),
    ...poolFamilies.map((of) => ({ of, source: maxPool(of, `poolFamilies, ${familyLabel(of)}`) })),
  ];
  const averagePools = averagePoolFamilies.map((of) => ({
    of,
    source: averagePool(of, `averagePoolFamilies, ${familyLabel(of)}`),
  }));
  const files = (kind: string, kernels: readonly { of: Family; source: KernelSource }[]) =>
    [...Map.groupBy(kernels, ({ of }) => `${kind}_${of.KH}x${of.KW}.ts`)].map(([path, group]) =>
      kernelFile(path, group.map(({ source }) => source), options)
    );
  const all = [
    ...files("conv", convs),
    ...files("maxpool", pools),
    ...files("averagepool", averagePools),
  ];
  return [...all, indexFile(all, options)];
}

/** What is wrong with a folder: files that differ, are missing, or belong to nobody. */
export async function differences(
  folder: string,
  files: readonly GeneratedFile[],
): Promise<string[]> {
  const found: string[] = [];
  for (const { path, text } of files) {
    const current = await Deno.readTextFile(join(folder, path)).catch(ifMissing);
    if (current === undefined) found.push(`${path} is missing`);
    else if (current !== text) found.push(`${path} differs`);
  }
  const present = await Array.fromAsync(Deno.readDir(folder)).catch(ifMissing) ?? [];
  for (const { name } of present) {
    if (!files.some(({ path }) => path === name)) found.push(`${name} is not generated`);
  }
  return found;
}

function ifMissing(error: unknown): undefined {
  if (error instanceof Deno.errors.NotFound) return undefined;
  throw error;
}

async function write(folder: string, files: readonly GeneratedFile[]): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (const { path, text } of files) await Deno.writeTextFile(join(folder, path), text);
}

/** Refuses to write over files of someone else. */
async function checkReplaceable(folder: string, files: readonly GeneratedFile[]): Promise<void> {
  for (const path of files.map(({ path }) => join(folder, path))) {
    const current = await Deno.readTextFile(path).catch(ifMissing);
    if (current === undefined || current.startsWith(FIRST_LINE)) continue;
    throw new InputError(`${path} must be a generated file, or none: it would be lost`);
  }
}

/** The files for a user's own shape. */
export function ownFiles(
  values: Values<typeof options>,
  command: string,
): { readonly out: string; readonly files: GeneratedFile[] } {
  const { check, out, module, ...own } = values;
  if (check) throw new InputError("--check is for kernels/generated/kernels/ alone");
  const geometry = geometryOf(own);
  if (out === undefined) throw new InputError("--out DIR is missing");
  const print: PrintOptions = {
    types: module ?? relativeModule(resolve(out)),
    command,
    test: 'compare its results with those under useKernels("naive")',
  };
  try {
    return { out, files: ownFile(sourceOf(geometry), print) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InputError(error.message);
  }
}

/** The kernel of a geometry. */
function sourceOf(geometry: Geometry): KernelSource {
  const numbers = stagedNumbers(geometry.shape);
  if (numbers >= MAX_NUMBERS) {
    throw new RangeError(
      `a kernel sees fewer than ${MAX_NUMBERS} numbers of an image: this one has ${numbers}`,
    );
  }
  switch (geometry.operation) {
    case "conv":
      return exactConv(geometry.shape);
    case "maxPool":
      return maxPool(geometry.shape);
    case "averagePool":
      return averagePool(geometry.shape);
  }
}

function ownFile(kernel: KernelSource, options: PrintOptions): GeneratedFile[] {
  const file = kernelFile(`${kernel.constant}.ts`, [kernel], options);
  return [file, indexFile([file], options, options.types)];
}

function relativeModule(folder: string): string {
  const path = relative(folder, moduleFile).replaceAll("\\", "/");
  return path.startsWith(".") ? path : `./${path}`;
}

/** Arguments as a shell takes them, on one line of a comment. */
function commandLine(args: readonly string[]): string {
  const words = args.map((arg) => /^[\w./:,@=~+-]+$/.test(arg) ? arg : JSON.stringify(arg));
  return ["deno task codegen", ...words].join(" ");
}

async function main(values: Values<typeof options>): Promise<number> {
  const { check: _, ...own } = values;
  if (Object.values(own).some((value) => value !== undefined)) {
    const { out, files } = ownFiles(values, commandLine(Deno.args));
    await orInputError(`${out} cannot be written`, async () => {
      await checkReplaceable(out, files);
      await write(out, files);
    });
    for (const { path } of files) console.log(join(out, path));
    return 0;
  }
  const files = repositoryFiles();
  if (values.check) {
    const found = await differences(generatedFolder, files);
    for (const line of found) console.error(`kernels/generated/kernels: ${line}`);
    if (found.length > 0) console.error("Run `deno task codegen`.");
    return found.length > 0 ? 1 : 0;
  }
  await Deno.remove(generatedFolder, { recursive: true }).catch(ifMissing);
  await write(generatedFolder, files);
  console.log(`${files.length} files in ${relative(Deno.cwd(), generatedFolder)}`);
  return 0;
}

if (import.meta.main) await runCommand({ usage: "deno task codegen", about, options }, main);
