import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { clock, percent, type Standing, trainingLine } from "../../tools/progress.ts";
import { CheckpointFile, trainAndKeep } from "../../tools/checkpoint.ts";
import { exitCode, outcome } from "../../tools/report.ts";
import { sparkline } from "../../tools/sparkline.ts";
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
   const solver = { iterations: 10, iteration: 0, lossHistory: [4, 2, 1] };
   await trainWithBar({ ...solver, trainAsync: ${trainAsync} } as never);
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

  it("draws the losses beside the bar of a terminal", { skip: !hasTerminals }, async () => {
    const reports = `(options) => {
      options.onProgress({ iteration: 4, loss: 1, trainAcc: NaN, valAcc: NaN, imagesPerSecond: 1,
        secondsLeft: 1 });
      return Promise.resolve();
    }`;
    const { stdout } = await runText(program(reports), onTerminal);
    assertMatch(stdout, / 4\/10 \| loss 1\.0000 █▅▁ \| /);
    const { stderr } = await runText(program(reports));
    assertMatch(stderr, / 4\/10 \| loss 1\.0000 \| /);
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

describe("trainingLine()", () => {
  const progress = {
    ...{ epoch: 1, epochs: 4, loss: 0.25, trainAcc: 0.5, valAcc: 0.625 },
    ...{ imagesPerSecond: 1234.4, secondsLeft: 65 },
  };
  const losses = Array.from({ length: 100 }, (_, i) => 100 - i);
  const standing: Standing = { iteration: 100, iterations: 400, losses, progress };

  it("says all where there is room, and draws a curve of at most 20 columns", () => {
    const line = trainingLine(standing, 200);
    assertMatch(
      line,
      /^█{5}░{15} 100\/400 \| loss 0\.2500 [▁-█]{20} \| train 50\.0% val 62\.5% \| 1234 images\/s \| 1:05 left$/,
    );
    const plain = trainingLine({ ...standing, losses: undefined }, 200);
    assertEquals(plain, line.replace(/ [▁-█]{20} \|/, " |"));
  });

  it("fits into every width, and loses the least important first", () => {
    let before = 0;
    for (let columns = 7; columns <= 140; columns++) {
      const line = trainingLine(standing, columns), parts = line.split(" | ").length;
      assert(line.length <= columns, `${columns}: ${line}`);
      assert(parts >= before, `${columns}: ${line}`);
      before = parts;
      // A curve is as wide as there is room for, or not there.
      const curve = /0\.2500 ([▁-█]+)/.exec(line)?.[1] ?? "";
      assert(curve === "" || (curve.length >= 5 && curve.length <= 20), line);
    }
    assertEquals(before, 5);
    assertEquals(trainingLine(standing, 7), "100/400");
    assertEquals(trainingLine(standing, 21), "100/400 | loss 0.2500");
    assertMatch(trainingLine(standing, 27), /^100\/400 \| loss 0\.2500 [▁-█]{5}$/);
    assertMatch(
      trainingLine(standing, 80),
      /^█{3}░{7} .* [▁-█]{11} \| train 50\.0% val 62\.5% \| 1:05 left$/,
    );
    assertEquals(trainingLine(standing, 3), "100/400");
  });

  it("has a full bar where more iterations are done than asked for", () => {
    const line = trainingLine({ iteration: 8, iterations: 4 }, 200);
    assertMatch(line, /^█{20} 8\/4 \| /);
  });

  it("has dashes for what is not known yet, and no curve before the first loss", () => {
    const start = { iteration: 0, iterations: 400, losses: [] };
    assertEquals(
      trainingLine(start, 200),
      `${"░".repeat(20)} 0/400 | loss - | train - val - | - images/s | - left`,
    );
  });
});

describe("sparkline()", () => {
  it("goes from the lowest block to the highest, by logarithms where all are positive", () => {
    assertEquals(sparkline([1, 2, 4, 8, 16, 32, 64, 128], 8), "▁▂▃▄▅▆▇█");
    assertEquals(sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8), "▁▂▃▄▅▆▇█");
    assertEquals(sparkline([-7, 0], 8), "▁█");
  });

  it("takes the mean of as many values as a column stands for", () => {
    assertEquals(sparkline([1, 3, 15, 17, -2, -2], 3), "▃█▁");
    assertEquals(sparkline([5], 20).length, 1);
    const long = Array.from({ length: 100_003 }, (_, i) => i - 50_000);
    assertEquals(sparkline(long, 8), "▁▂▃▄▅▆▇█");
  });

  it("has a dot where there is no finite value, and stays level where all are one", () => {
    assertEquals(sparkline([NaN, 1, Infinity, 2, -Infinity, 4], 6), "·▁·▅·█");
    assertEquals(sparkline([NaN, NaN], 5), "··");
    assertEquals(sparkline([1, NaN, 4, 4], 2), "▁█");
    assertEquals(sparkline([3, 3, 3], 5), "▅▅▅");
    assertEquals(sparkline([], 5), "");
    assertEquals(sparkline([1, 2], 0), "");
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
