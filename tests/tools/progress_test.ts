import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { clock, percent } from "../../tools/progress.ts";
import { CheckpointFile, trainAndKeep } from "../../tools/checkpoint.ts";
import { exitCode, outcome } from "../../tools/report.ts";
import {
  decodeCheckpoint,
  type Labels,
  type Model,
  Solver,
  type Tensor,
  zeros,
} from "../../mod.ts";
import { runText } from "../support/command.ts";

/** A program that trains with a bar; the solver is one that only reports. */
const program = (trainAsync: string, after = "") =>
  `import { trainWithBar } from "ROOT/tools/progress.ts";
   await trainWithBar({ iterations: 10, iteration: 0, trainAsync: ${trainAsync} } as never);
   ${after}`;

/** Runs a command on a terminal. */
const onTerminal = (command: string[]) => ["script", "-qec", command.join(" "), "/dev/null"];
/** Linux's script takes the command as an option. */
const hasTerminals = Deno.build.os === "linux";

/** Asserts that a terminal has got back what a bar took. */
function assertGivenBack(written: string): void {
  for (const [what, off, on] of [["cursor", "[?25l", "[?25h"], ["line wrap", "[?7l", "[?7h"]]) {
    assert(written.includes(off), `the ${what} was never hidden`);
    assert(written.lastIndexOf(on) > written.lastIndexOf(off), `the ${what} does not come back`);
  }
}

describe("trainWithBar()", () => {
  it("shows where the training run is, the time left in minutes and seconds", async () => {
    const { stderr } = await runText(program(`(options) => {
      options.onProgress({ iteration: 4, loss: 1.25, trainAcc: 0.5, valAcc: NaN,
        imagesPerSecond: 1234.4, secondsLeft: 3725.2 });
      return Promise.resolve();
    }`));
    assertMatch(
      stderr,
      / 4\/10 \| loss 1\.2500 \| train 50\.0% val - \| 1234 images\/s \| 62:06 left\n/,
    );
    assertEquals([clock(0), clock(0.2), clock(59.5), clock(65)], ["0:00", "0:01", "1:00", "1:05"]);
    assertEquals([percent(0.9614), percent(NaN)], ["96.1%", "-"]);
  });

  it("hears Ctrl-C while it trains, and leaves it to the system afterwards", async () => {
    const interrupted = program(
      `({ signal }) => {
        Deno.kill(Deno.pid, "SIGINT");
        return new Promise((resolve) => signal.onabort = resolve);
      }`,
      `console.log("ended");`,
    );
    const { code, stdout } = await runText(interrupted);
    assertEquals([code, stdout], [0, "ended\n"]);
    const afterwards = program(
      `() => Promise.resolve()`,
      `console.log("ended");
       Deno.kill(Deno.pid, "SIGINT");
       setTimeout(() => console.log("never"), 10_000);`,
    );
    const { code: signalled, stdout: before } = await runText(afterwards);
    assertEquals([signalled, before], [130, "ended\n"]);
  });

  it("gives the terminal back at a second Ctrl-C", { skip: !hasTerminals }, async () => {
    const { code, stdout } = await runText(
      program(`({ signal }) => {
        signal.onabort = () => Deno.kill(Deno.pid, "SIGINT");
        Deno.kill(Deno.pid, "SIGINT");
        return new Promise((resolve) => setTimeout(resolve, 20_000));
      }`),
      onTerminal,
    );
    assertEquals(code, 130);
    assertGivenBack(stdout);
  });
});

describe("whileBarRuns()", () => {
  it("ends what heeds no signal at the first Ctrl-C", { skip: !hasTerminals }, async () => {
    const { code, stdout } = await runText(
      `import { progressBar, whileBarRuns } from "ROOT/tools/progress.ts";
       const bar = progressBar("{bar}");
       await whileBarRuns(bar, () => {
         bar.start(10, 0);
         Deno.kill(Deno.pid, "SIGINT");
         return new Promise((resolve) => setTimeout(resolve, 20_000));
       }, false);`,
      onTerminal,
    );
    assertEquals(code, 130);
    assertGivenBack(stdout);
  });
});

describe("trainAndKeep()", () => {
  it("keeps no checkpoint of a training run that diverged, and says what may help", async () => {
    const folder = await Deno.makeTempDir(), path = `${folder}/run`;
    let iterations = 0;
    const model = {
      params: { w: zeros([1], "float32") },
      loss: (_: Tensor, y?: Labels) => {
        if (y === undefined) return zeros([2, 2], "float32");
        return { loss: ++iterations === 5 ? NaN : 1, grads: { w: zeros([1], "float32") } };
      },
    } as unknown as Model<Float32Array>;
    const x = zeros([2, 1]), y = [0, 1];
    const options = { batchSize: 1, numEpochs: 4, verbose: false };
    const solver = new Solver(model, { xTrain: x, yTrain: y, xVal: x, yVal: y }, options);
    {
      await using file = await CheckpointFile.open(path);
      const result = await trainAndKeep(solver, file);
      assertEquals(exitCode(result), 1);
      assertMatch(
        outcome(result),
        /^diverged after 5 of 8 iterations, 2 epochs, loss NaN\nThe loss became NaN in iteration 5: ./,
      );
    }
    assertEquals(decodeCheckpoint(await Deno.readFile(path)).iteration, 4);
    await Deno.remove(folder, { recursive: true });
  });
});
