/**
 * The installed package in Node, the oldest that it serves and the newest, and in Bun.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { join } from "node:path";
import { PACKAGE } from "../../tools/bundle.ts";
import type { Installed } from "./install.ts";
import { assertReport } from "./report.ts";

/** Trains in a worker, on two threads, and as a solver does. */
export const training = `
  import { affine, conv, Net, RandomState, relu, Solver } from "${PACKAGE}";
  import { trainInWorker } from "${PACKAGE}/worker";
  const random = new RandomState(0), x = random.randn([40, 1, 8, 8]), y = random.randint(0, 3, 40);
  const data = { xTrain: x, yTrain: y, xVal: x, yVal: y };
  const net = new Net({ inputDim: [1, 8, 8], layers: [conv(4), relu(), affine(3)] });
  const solver = { batchSize: 10, numEpochs: 3 };
  const training = trainInWorker({ net, data, solver, threads: 2 });
  let last;
  for await (last of training);
  const trained = (await training.done).net;
  const { shape } = await training.predict(x);
  training[Symbol.dispose]();
  new Solver(net, data, { ...solver, verbose: false }).train();
  const values = ({ params }) => Object.values(params).map(({ data }) => data.join()).join();
  const report = [values(trained) === values(net), last.iteration, last.threads, shape].join();`;

/** What it says. */
export const TRAINED = "true,12,2,40,3";

/** Tests of the installed package in every runtime. */
export function testRuntimes({ folder, runtimes, run }: Installed): void {
  for (const [name, program] of Object.entries(runtimes)) {
    describe(`In ${name} the package`, () => {
      it("has the naive loops' numbers by every tier, and trains to the known bits", async () => {
        const { success, stdout, stderr } = await run(program, "program.mjs");
        assert(success, stderr);
        assertReport(stdout);
      });
      it("trains in a worker to a solver's bits", async () => {
        await Deno.writeTextFile(join(folder, "training.mjs"), `${training} console.log(report);`);
        const { stdout, stderr } = await run(program, "training.mjs");
        assertEquals(stdout.trim(), TRAINED, stderr);
      });
      it("loads from every entry point", async () => {
        const path = join(folder, "node_modules", PACKAGE, "package.json");
        const { exports } = JSON.parse(await Deno.readTextFile(path));
        const imports = Object.keys(exports).map((entry) => `"${entry.replace(/^\./, PACKAGE)}"`);
        const text = `for (const name of [${imports}])
          console.log(Object.keys(await import(name)).length > 0);`;
        await Deno.writeTextFile(join(folder, "entries.mjs"), text);
        const { stdout, stderr } = await run(program, "entries.mjs");
        assertEquals(stdout.trim().split("\n"), imports.map(() => "true"), stderr);
      });
    });
  }
  it("can be required where Node requires modules", async () => {
    const text = `console.log(typeof require("${PACKAGE}").convForward)`;
    const { stdout, stderr } = await run(runtimes["node latest"], "-e", text);
    assertEquals(stdout.trim(), "function", stderr);
  });
}
