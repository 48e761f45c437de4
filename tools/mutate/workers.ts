/**
 * Runs tests on mutants, each worker in a temporary copy of the tree.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { type Mutant, mutate, parses } from "./mutants.ts";

/** What became of a mutant. "invalid" is not TypeScript, and does not count. */
export type Outcome = "killed" | "timeout" | "survived" | "invalid";

/** A command that has ended. */
interface Ended {
  readonly outcome: "passed" | "failed" | "timeout";
  readonly seconds: number;
}

/** Fewer random cases than the suite draws, and the same ones each time. */
const ENVIRONMENT = { SIMD_SEED: "231", SIMD_GEOMETRIES: "200", SIMD_SHAPES: "300", NO_COLOR: "1" };

/** A fault may ask for all the memory there is: this is what tests get, more than they need. */
const MOST_MEMORY_KB = 3_000_000;

async function git(folder: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("git", { args, cwd: folder }).output();
  if (!success) throw new Error(`git ${args[0]}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** The files of a tree that git knows or would take, from its root. */
export async function filesOf(root: string): Promise<string[]> {
  const names = await git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard");
  return [...new Set(names.split("\0"))].filter((name) => name !== "").sort();
}

/** A copy of the tree that mutants can spoil. */
export class Copy {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Copies files of a tree into a new temporary folder. */
  static async of(root: string, files: readonly string[]): Promise<Copy> {
    const folder = await Deno.makeTempDir({ prefix: "mutate-" });
    for (const file of files) {
      const to = `${folder}/${file}`;
      await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
      // A file that is deleted in the tree is still known to git.
      await Deno.copyFile(`${root}/${file}`, to).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
    }
    await git(folder, "init", "--quiet");
    await git(folder, "add", "--all");
    const author = ["-c", "user.name=mutate", "-c", "user.email=mutate@localhost"];
    await git(folder, ...author, "commit", "--quiet", "--no-verify", "--message", "tree");
    return new Copy(folder);
  }

  /** Runs a test file. */
  test(file: string, limitSeconds: number): Promise<Ended> {
    const args = ["test", "--allow-all", "--no-check", "--quiet", "--fail-fast", file];
    const script = `ulimit -d ${MOST_MEMORY_KB}; exec "$0" "$@"`;
    const start = performance.now();
    return new Promise((resolve, reject) => {
      // A group of its own, so that what the tests start ends with them.
      const child = spawn("sh", ["-c", script, Deno.execPath(), ...args], {
        cwd: this.#folder,
        env: { ...Deno.env.toObject(), ...ENVIRONMENT },
        stdio: "ignore",
        detached: true,
      });
      let late = false;
      const endGroup = () => {
        try {
          process.kill(-child.pid!, "SIGKILL");
        } catch {
          // All of it has ended.
        }
      };
      const timer = setTimeout(() => {
        late = true;
        endGroup();
      }, limitSeconds * 1000);
      child.on("error", reject);
      child.on("exit", (code) => {
        clearTimeout(timer);
        endGroup();
        const seconds = (performance.now() - start) / 1000;
        resolve({ outcome: late ? "timeout" : code === 0 ? "passed" : "failed", seconds });
      });
    });
  }

  /**
   * Plants a mutant, runs test files in order until one notices, and puts the tree back as it was.
   *
   * @param mutant The fault.
   * @param tests The test files.
   * @param limitOf Seconds after which a test file counts as hanging.
   */
  async try(
    mutant: Mutant,
    tests: readonly string[],
    limitOf: (test: string) => Promise<number>,
  ): Promise<Outcome> {
    const path = `${this.#folder}/${mutant.file}`;
    const text = mutate(await Deno.readTextFile(path), mutant);
    if (!parses(text)) return "invalid";
    await Deno.writeTextFile(path, text);
    try {
      for (const test of tests) {
        const { outcome } = await this.test(test, await limitOf(test));
        if (outcome !== "passed") return outcome === "failed" ? "killed" : "timeout";
      }
      return "survived";
    } finally {
      await git(this.#folder, "checkout", "--quiet", "--force", ".");
      await git(this.#folder, "clean", "--quiet", "--force", "-d", "-x");
    }
  }

  /** Removes the copy. */
  async remove(): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}
