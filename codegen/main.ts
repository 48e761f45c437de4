/**
 * The generator's command: writes the kernels of configs.ts, or kernels for a user's own shapes.
 *
 * @module
 */

import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { convShape, type Family, poolShape } from "../kernels/shape.ts";
import { sizeOf } from "../kernels/tensor.ts";
import { orInputError } from "../tools/files.ts";
import { flag, InputError, path, runCommand, sizes, type Values } from "../tools/options.ts";
import {
  convConfigs,
  convConfigShape,
  convFamilies,
  poolConfigs,
  poolConfigShape,
  poolFamilies,
} from "./configs.ts";
import {
  exactConv,
  familyConv,
  FIRST_LINE,
  type GeneratedFile,
  indexFile,
  kernelFile,
  type KernelText,
  pool,
  type PrintOptions,
} from "./print.ts";

/** The most that one size of a kernel may be. */
const MOST = 65_536;

const options = {
  check: flag("write nothing, but fail if kernels/generated/kernels/ is not what would be written"),
  x: sizes(["C,H,W"], MOST, "input of a kernel of your own"),
  w: sizes(["F,C,KH,KW"], MOST, "filters of a convolution"),
  pool: sizes(["KH,KW"], MOST, "window of a max-pool, in place of filters"),
  stride: sizes(["S", "vertical,horizontal"], MOST, "step between windows; 1 if left out"),
  pad: sizes(["P", "vertical,horizontal", "top,left,bottom,right"], MOST, "0 if left out"),
  out: path("folder to write; importing DIR/index.ts registers the kernel"),
  module: path("what the files import the library from; this copy of it if left out"),
};

const about = `Generates TypeScript kernels.

  deno task codegen                write the kernels of codegen/configs.ts to kernels/generated/kernels/
  deno task codegen --check        fail if kernels/generated/kernels/ is not what would be written
  deno task codegen --x 64,56,56 --w 128,64,3,3 --stride 1 --pad 1 --out my_kernels/
                                   write a kernel for a convolution of your own
  deno task codegen --x 64,56,56 --pool 3,3 --stride 2 --pad 1 --out my_kernels/
                                   write a kernel for a max-pool of your own`;

const generatedFolder = fileURLToPath(new URL("../kernels/generated/kernels/", import.meta.url));
const moduleFile = fileURLToPath(new URL("../mod.ts", import.meta.url));

/** Every file of kernels/generated/kernels/: one for each window, so that an import by URL fetches few. */
export function repositoryFiles(): GeneratedFile[] {
  const options = { types: "../kernel.ts", command: "deno task codegen" };
  const convs = [
    ...convConfigs.map(convConfigShape).map((shape) => ({ of: shape, text: exactConv(shape) })),
    ...convFamilies.map((family) => ({ of: family, text: familyConv(family) })),
  ];
  const pools = [
    ...poolConfigs.map(poolConfigShape).map((shape) => ({ of: shape, text: pool(shape) })),
    ...poolFamilies.map((family) => ({ of: family, text: pool(family) })),
  ];
  const files = (kind: string, kernels: { of: Family; text: KernelText }[]) =>
    [...Map.groupBy(kernels, ({ of }) => `${kind}_${of.KH}x${of.KW}.ts`)].map(([path, group]) =>
      kernelFile(path, group.map(({ text }) => text), options)
    );
  const all = [...files("conv", convs), ...files("maxpool", pools)];
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

/** A pair as the layers take it: one number, or a list. */
function pair<T>(list: readonly number[] = [], leftOut: number): T {
  return (list.length > 1 ? list : list[0] ?? leftOut) as T;
}

/** The files for a user's own shape. */
export function ownFiles(
  values: Values<typeof options>,
  command: string,
): { readonly out: string; readonly files: GeneratedFile[] } {
  const { x, w, pool: window, out, module } = values;
  if (values.check) throw new InputError("--check is for kernels/generated/kernels/ alone");
  if (x === undefined) throw new InputError("--x C,H,W is missing: a kernel of your own needs it");
  if (out === undefined) throw new InputError("--out DIR is missing");
  if ((w === undefined) === (window === undefined)) {
    throw new InputError("a kernel of your own takes either --w F,C,KH,KW or --pool KH,KW");
  }
  const params = { stride: pair<number>(values.stride, 1), pad: pair<number>(values.pad, 0) };
  const print: PrintOptions = { types: module ?? relativeModule(resolve(out)), command };
  try {
    const kernel = w !== undefined
      ? ownConv([1, ...x], w, params)
      : ownPool([1, ...x], window!, params);
    return { out, files: ownFile(kernel, print) };
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    throw new InputError(error.message);
  }
}

/** How windows step, as the layers take it. */
interface Steps {
  readonly stride: number;
  readonly pad: number;
}

function ownConv(x: readonly number[], w: readonly number[], steps: Steps): KernelText {
  const shape = convShape(x, w, steps);
  checkIndices(x, w, [shape.F, shape.OH, shape.OW]);
  return exactConv(shape);
}

function ownPool(
  x: readonly number[],
  [poolHeight, poolWidth]: readonly number[],
  steps: Steps,
): KernelText {
  checkIndices(x);
  return pool(poolShape(x, { poolHeight, poolWidth, ...steps }));
}

/** The generated code counts in int32. */
function checkIndices(...shapes: readonly (readonly number[])[]): void {
  const large = shapes.find((shape) => sizeOf(shape) >= 2 ** 31);
  if (large === undefined) return;
  throw new RangeError(`an array must have fewer than 2^31 numbers: [${large}] has more`);
}

function ownFile(kernel: KernelText, options: PrintOptions): GeneratedFile[] {
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
