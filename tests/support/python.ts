/**
 * Debian's Python, whose numpy, PyTorch and ONNX judge what this library reads and writes.
 *
 * @module
 */

import { assert } from "@std/assert";

const PYTHON = "/usr/bin/python3";

/**
 * Why a test that needs a module of Python cannot run.
 *
 * @param module The module, of Debian's package of that name.
 * @returns The reason; false if the module is there.
 */
export async function isMissing(module: string): Promise<string | false> {
  const reason = `Debian's python3-${module} is not installed`;
  try {
    const { success } = await new Deno.Command(PYTHON, {
      args: ["-c", `import importlib.util; assert importlib.util.find_spec("${module}")`],
      stdout: "null",
      stderr: "null",
    }).output();
    return success ? false : reason;
  } catch {
    return reason;
  }
}

/**
 * Runs a Python program in a folder of its own.
 *
 * @param text The program; it reads and writes files of that folder, its current one.
 * @param files What the folder holds before.
 * @returns What it holds behind.
 */
export async function runPython(
  text: string,
  files: Readonly<Record<string, Uint8Array>> = {},
): Promise<Readonly<Record<string, Uint8Array<ArrayBuffer>>>> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, bytes] of Object.entries(files)) {
      await Deno.writeFile(`${folder}/${name}`, bytes);
    }
    const { success, stdout, stderr } = await new Deno.Command(PYTHON, {
      args: ["-c", text],
      cwd: folder,
      stdin: "null",
    }).output();
    const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
    assert(success, said);
    const found: Record<string, Uint8Array<ArrayBuffer>> = {};
    for (const { name } of Deno.readDirSync(folder)) {
      found[name] = await Deno.readFile(`${folder}/${name}`);
    }
    return found;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
