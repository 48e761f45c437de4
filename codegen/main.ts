/**
 * The generator's command: writes the kernels of configs.ts, or kernels for a user's own shapes.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { convShape, type Family, poolShape } from "../kernels/shape.ts";
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
  type GeneratedFile,
  indexFile,
  kernelFile,
  type KernelText,
  pool,
  type PrintOptions,
} from "./print.ts";

const usage = `Generates TypeScript kernels.

  deno task codegen                write the kernels of codegen/configs.ts to kernels/generated/
  deno task codegen --check        fail if kernels/generated/kernels/ is not what would be written
  deno task codegen --x 64,56,56 --w 128,64,3,3 --stride 1 --pad 1 --out my_kernels/
                                   write a kernel for a convolution of your own
  deno task codegen --x 64,56,56 --pool 3,3 --stride 2 --pad 1 --out my_kernels/
                                   write a kernel for a max-pool of your own

Options for a shape of your own:
  --x C,H,W          input
  --w F,C,KH,KW      filters of a convolution
  --pool KH,KW       window of a max-pool
  --stride S         or vertical,horizontal (default 1)
  --pad P            or vertical,horizontal, or top,left,bottom,right (default 0)
  --out DIR          folder to write; importing DIR/index.ts registers the kernel
  --module URL       what the files import the library from (default: this copy of it)`;

/** A mistake in the command line: told in one line. */
class UsageError extends Error {}

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

/** `64,56,56` as numbers; one number stands alone. */
function numbers(option: string, value: string): number[] {
  const list = value.split(",").map((part) => part.trim() === "" ? NaN : Number(part));
  if (list.some((n) => !Number.isInteger(n) || n < 0)) {
    throw new UsageError(`--${option} takes whole numbers separated by commas: received ${value}`);
  }
  return list;
}

function sizes(option: string, value: string | undefined, names: string): number[] {
  if (value === undefined) throw new UsageError(`--${option} ${names} is missing`);
  const list = numbers(option, value);
  if (list.length !== names.split(",").length) {
    throw new UsageError(`--${option} takes ${names}: received ${value}`);
  }
  return list;
}

/** A pair as the layers take it: one number, or a list. */
function step<T>(option: string, value: string): T {
  const list = numbers(option, value);
  return (list.length === 1 ? list[0] : list) as T;
}

interface Arguments {
  readonly x?: string;
  readonly w?: string;
  readonly pool?: string;
  readonly stride: string;
  readonly pad: string;
  readonly out?: string;
  readonly module?: string;
}

/** The files for a user's own shape. */
export function ownFiles(args: Arguments, command: string): GeneratedFile[] {
  const { out } = args;
  if (out === undefined) throw new UsageError("--out DIR is missing");
  const types = args.module ?? relativeModule(resolve(out));
  const options: PrintOptions = { types, command };
  const x = [1, ...sizes("x", args.x, "C,H,W")];
  const stride = step<number>("stride", args.stride), pad = step<number>("pad", args.pad);
  try {
    if (args.pool !== undefined) {
      const [poolHeight, poolWidth] = sizes("pool", args.pool, "KH,KW");
      const shape = poolShape(x, { poolHeight, poolWidth, stride, pad });
      return ownFile(pool(shape), options);
    }
    const shape = convShape(x, sizes("w", args.w, "F,C,KH,KW"), { stride, pad });
    return ownFile(exactConv(shape), options);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) {
      throw new UsageError(error.message);
    }
    throw error;
  }
}

function ownFile(kernel: KernelText, options: PrintOptions): GeneratedFile[] {
  const file = kernelFile(`${kernel.constant}.ts`, [kernel], options);
  return [file, indexFile([file], options, options.types)];
}

function relativeModule(folder: string): string {
  const path = relative(folder, moduleFile).replaceAll("\\", "/");
  return path.startsWith(".") ? path : `./${path}`;
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        check: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
        x: { type: "string" },
        w: { type: "string" },
        pool: { type: "string" },
        stride: { type: "string", default: "1" },
        pad: { type: "string", default: "0" },
        out: { type: "string" },
        module: { type: "string" },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function main(args: string[]): Promise<number> {
  const values = parse(args);
  if (values.help) {
    console.log(usage);
    return 0;
  }
  if (values.x ?? values.w ?? values.pool ?? values.out) {
    const files = ownFiles(values, `deno task codegen ${args.join(" ")}`);
    await write(values.out!, files);
    for (const { path } of files) console.log(join(values.out!, path));
    return 0;
  }
  const files = repositoryFiles();
  if (values.check) {
    const found = await differences(generatedFolder, files);
    for (const line of found) console.error(`kernels/generated: ${line}`);
    if (found.length > 0) console.error("Run `deno task codegen`.");
    return found.length > 0 ? 1 : 0;
  }
  await Deno.remove(generatedFolder, { recursive: true }).catch(ifMissing);
  await write(generatedFolder, files);
  console.log(`${files.length} files in ${relative(Deno.cwd(), generatedFolder)}`);
  return 0;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`codegen: ${error.message}`);
    Deno.exit(2);
  }
}
