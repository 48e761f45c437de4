/**
 * Programs on the ranks of an MPI job, on this machine.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { finish, type Finished, runText } from "./command.ts";

/** What starts jobs: as the system has it, or a certain MPI's, as Debian names them. */
type Mpirun = "mpirun" | "mpirun.mpich";

/** Why there can be no jobs here; false if there can. */
export const noMpi: string | false = await reason("mpirun");
/** Why there can be none of MPICH; false if there can. */
export const noMpich: string | false = await reason("mpirun.mpich");

async function reason(mpirun: Mpirun): Promise<string | false> {
  try {
    const { success } = await new Deno.Command(mpirun, { args: ["--version"] }).output();
    return success ? false : `${mpirun} does not run`;
  } catch {
    return `there is no ${mpirun}: Debian's openmpi-bin and mpich have it`;
  }
}

/** A command as so many ranks run it. */
export function onRanks(
  ranks: number,
  mpirun: Mpirun = "mpirun",
): (command: string[]) => string[] {
  // Open MPI wants to be asked for more ranks than cores, and by root.
  const settings = [
    "OMPI_ALLOW_RUN_AS_ROOT=1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
    "OMPI_MCA_rmaps_base_oversubscribe=1",
  ];
  return (command) => ["env", ...settings, mpirun, "-n", String(ranks), ...command];
}

/**
 * Runs the text of a program on ranks.
 *
 * @param ranks How many.
 * @param work What each does with its `mpi`.
 * @param imports What it imports, from "ROOT/...", which is the project's folder.
 * @param options How MPI is opened.
 * @param mpirun What starts it.
 */
export async function runRanks(
  ranks: number,
  work: string,
  imports = "",
  options = "{}",
  mpirun: Mpirun = "mpirun",
): Promise<Finished> {
  const text = `import { withMpi } from "ROOT/io/mpi.ts";
    ${imports}
    await withMpi(async (mpi) => { ${work} }, ${options});`;
  return await runText(text, onRanks(ranks, mpirun));
}

/** Runs a task of the project on ranks, as a user does. */
export async function runTask(
  ranks: number,
  task: string,
  args: readonly string[],
): Promise<Finished> {
  const [program, ...rest] = onRanks(ranks)([Deno.execPath(), "task", "--quiet", task, ...args]);
  const child = new Deno.Command(program, {
    args: rest,
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  return await finish(child);
}
