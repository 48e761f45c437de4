import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { decodeCheckpoint } from "../../../mod.ts";
import { noMpi, noMpich, runRanks } from "../../support/mpi.ts";
import { hashOf, makeSolver, type TrainingOptions } from "../../support/mpi_training.ts";

const imports = `import { makeSolver, hashOf } from "ROOT/tests/support/mpi_training.ts";
  import { replaceFile } from "ROOT/tools/files.ts";
  import { decodeCheckpoint, encodeCheckpoint } from "ROOT/mod.ts";`;

/** Where a training run ends without MPI. */
function alone(options: TrainingOptions): string {
  const solver = makeSolver(options);
  solver.train();
  return hashOf(solver.checkpoint());
}

describe("training on ranks", { skip: noMpi }, () => {
  const runs: Readonly<Record<string, Omit<TrainingOptions, "parallel">>> = {
    "in float32": {},
    "in float64, with frozen parameters": {
      dtype: "float64",
      options: { frozen: ["W2", "gamma1"] },
    },
    "with synchronized batch normalization": { options: { synchronizeBatchnorm: true } },
    "without shuffling, by another rule": {
      options: { shuffle: false, updateRule: "sgdMomentum" },
    },
  };
  for (const [name, options] of Object.entries(runs)) {
    it(`has the bits of one process for 1, 2 and 3 ranks, ${name}`, async () => {
      const expected = alone(options);
      for (const ranks of [1, 2, 3]) {
        // Other ranks begin elsewhere; small buckets make several transfers.
        const work = `const options = ${JSON.stringify(options)};
          const solver = makeSolver({ ...options, parallel: mpi, seed: mpi.rank });
          await solver.trainAsync();
          console.log(hashOf(solver.checkpoint()));`;
        const { stdout, stderr, code } = await runRanks(
          ranks,
          work,
          imports,
          "{ bucketBytes: 256 }",
        );
        assertEquals(code, 0, stderr);
        const ends = stdout.trim().split("\n");
        assertEquals(ends.length, ranks);
        for (const end of ends) assertEquals(end, expected);
      }
    });
  }

  it("has the same bits under MPICH", { skip: noMpich }, async () => {
    const { stdout, stderr, code } = await runRanks(
      2,
      `const solver = makeSolver({ parallel: mpi, seed: mpi.rank });
       await solver.trainAsync();
       console.log(mpi.library.replace(/[:\\s].*/, ""), hashOf(solver.checkpoint()));`,
      imports,
      "{}",
      "mpirun.mpich",
    );
    assertEquals(code, 0, stderr);
    assertEquals(stdout, `MPICH ${alone({})}\n`.repeat(2));
  });

  it("lets rank 0 alone tell how it goes, and all end when one is told to stop", async () => {
    const { stdout, stderr, code } = await runRanks(
      3,
      `const stop = new AbortController(), told = [];
       if (mpi.rank === 2) setTimeout(() => stop.abort());
       const solver = makeSolver({ parallel: mpi, options: { verbose: true, printEvery: 1, numEpochs: 1e5 } });
       const { end } = await solver.trainAsync({
         signal: stop.signal,
         onProgress: () => told.push(1),
         onCheckpoint: () => told.push(1),
       });
       console.log(mpi.rank, end, solver.iteration, told.length > 0);`,
      imports,
    );
    assertEquals(code, 0, stderr);
    const lines = stdout.trim().split("\n");
    const [, iteration] = lines.at(-1)!.match(/stopped (\d+)/)!;
    const ends = lines.filter((line) => line.includes("stopped")).sort();
    assertEquals(ends, [0, 1, 2].map((rank) => `${rank} stopped ${iteration} ${rank === 0}`));
    assertEquals(lines.filter((line) => line.includes("(Iteration 1 /")).length, 1);
  });

  it("tells every rank where a loss ceased to be finite", async () => {
    const { stdout, stderr, code } = await runRanks(
      3,
      `const augment = (x, random, { picks }) => {
         // The example is in a micro-batch of one rank, whichever that is.
         if (picks.includes(7)) x.data[0] = NaN;
       };
       const solver = makeSolver({ parallel: mpi, options: { augment } });
       const { end, hint } = await solver.trainAsync();
       console.log(end, hint);`,
      imports,
    );
    assertEquals(code, 0, stderr);
    const lines = stdout.trim().split("\n");
    assertEquals(lines.length, 3);
    assertEquals(new Set(lines).size, 1);
    assertMatch(
      lines[0],
      /^diverged The loss became NaN in iteration \d+, first in the examples of the batch:/,
    );
  });

  it("ends when a rank dies, with a whole checkpoint that any number of ranks continues", async () => {
    const folder = await Deno.makeTempDir(), file = `${folder}/run.safetensors`;
    const dies = await runRanks(
      3,
      `const solver = makeSolver({ parallel: mpi, seed: mpi.rank });
       let iterations = 0;
       const { sums } = mpi;
       mpi.sums = (count) => {
         // In the third epoch, in the middle of an update.
         if (mpi.rank === 1 && ++iterations === 25) Deno.kill(Deno.pid, "SIGKILL");
         return sums.call(mpi, count);
       };
       await solver.trainAsync({
         onCheckpoint: (checkpoint) => replaceFile(${
        JSON.stringify(file)
      }, encodeCheckpoint(checkpoint)),
       });
       console.log("trained to the end");`,
      imports,
    );
    assert(dies.code !== 0, "the job ended well");
    assertEquals(dies.stdout, "");
    assertEquals(decodeCheckpoint(await Deno.readFile(file)).iteration, 20);
    assertEquals(Array.from(Deno.readDirSync(folder), ({ name }) => name), ["run.safetensors"]);
    const continued = await runRanks(
      2,
      `const solver = makeSolver({ parallel: mpi, seed: mpi.rank });
       if (mpi.rank === 0) solver.resume(decodeCheckpoint(await Deno.readFile(${
        JSON.stringify(file)
      })));
       await solver.trainAsync();
       if (mpi.rank === 1) console.log(hashOf(solver.checkpoint()));`,
      imports,
    );
    assertEquals(continued.code, 0, continued.stderr);
    assertEquals(continued.stdout.trim(), alone({}));
    await Deno.remove(folder, { recursive: true });
  });

  it("ends when a rank throws, and says which", async () => {
    const { stdout, stderr, code } = await runRanks(
      2,
      `const solver = makeSolver({ parallel: mpi, options: {
         augment: () => { if (mpi.rank === 1) throw new Error("no more images"); },
       } });
       await solver.trainAsync();
       console.log("trained to the end");`,
      imports,
    );
    assert(code !== 0, "the job ended well");
    assertEquals(stdout, "");
    assertStringIncludes(stderr, "Rank 1 of 2 ends the job: Error: no more images");
  });

  it("refuses more ranks than micro-batches", async () => {
    const { stdout, stderr, code } = await runRanks(
      2,
      `try {
         makeSolver({ parallel: mpi, options: { accumulate: 1 } });
       } catch (error) {
         console.log(error.message);
       }`,
      imports,
    );
    assertEquals(code, 0, stderr);
    const message = "accumulate must give each rank a batch, so that it is 2 or more: it is 1\n";
    assertEquals(stdout, message.repeat(2));
  });
});
