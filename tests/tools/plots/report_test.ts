import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  affine,
  conv,
  type DType,
  FullyConnectedNet,
  globalAverage,
  type LayeredNet,
  Net,
  RandomState,
  relu,
  residual,
  sequential,
  Solver,
  type Tensor,
} from "../../../mod.ts";
import { trainAndKeep } from "../../../tools/checkpoint.ts";
import { InputError } from "../../../tools/options.ts";
import { FIGURES, PAGE, Report, tryReport } from "../../../tools/plots/report.ts";
import { readReport } from "../../support/report.ts";
import { parseSvg, texts } from "../../support/svg.ts";

const CLASSES = ["dark <b>", "light & 'co'"];
let folder = "";

beforeEach(async () => {
  folder = await Deno.makeTempDir();
});
afterEach(async () => await Deno.remove(folder, { recursive: true }));

/** Images, (N, C, 6, 6), of two classes: dark ones and light ones. */
function images(N: number, C: number): { x: Tensor<Float64Array>; y: number[] } {
  const x = new RandomState(0).randn([N, C, 6, 6]), y = Array.from({ length: N }, (_, n) => n % 2);
  for (let i = 0; i < x.data.length; i++) x.data[i] += y[Math.floor(i / (C * 36))] ? 1 : -1;
  return { x, y };
}

/** A solver and its report. */
function reported(net: LayeredNet<"float64">, C: number, where: string) {
  const { x, y } = images(20, C);
  const solver = new Solver(net, { xTrain: x, yTrain: y, xVal: x, yVal: y }, {
    ...{ batchSize: 5, numEpochs: 3, verbose: false, recordUpdates: true },
  });
  const report = new Report(where, {
    ...{ title: "A <title> & more", net: net as unknown as LayeredNet<DType>, solver, threads: 1 },
    ...{ settings: { data: "<script>", nothing: undefined }, classes: CLASSES, x, y },
    pixel: (value) => 128 + 40 * value,
  });
  return { solver, report };
}

const small = (C = 3) =>
  new Net({ inputDim: [C, 6, 6], layers: [conv(4), relu(), globalAverage(), affine(2)] });

describe("Report", () => {
  it("writes every figure, and a page that holds them and whatever text there is", async () => {
    const { solver, report } = reported(small(), 3, folder);
    const result = await trainAndKeep(solver, undefined, { report });
    await report.finish(result, [["validation accuracy", "<97 %>"]]);
    const { page, figures } = await readReport(folder);
    assert(page.includes("<h1>A &lt;title&gt; &amp; more</h1>"));
    assert(page.includes("<td>&lt;script&gt;</td>") && page.includes("<td>&lt;97 %&gt;</td>"));
    assert(!page.includes("<script") && !page.includes("nothing") && !page.includes("undefined"));
    assert(texts(parseSvg(figures.confusion)).includes("dark <b>"));
    assertEquals(figures.loss.match(/NaN/), null);
    const { multiplyAdds } = /total.*?(?<multiplyAdds>[\d,]+)<\/td><td>/.exec(page)!.groups!;
    assert(small().summary().includes(multiplyAdds));
  });

  it("shows the layers inside others, with their kernels", async () => {
    const net = new Net({
      inputDim: [1, 6, 6],
      layers: [residual(sequential(conv(1), relu())), globalAverage(), affine(2)],
    });
    const { solver, report } = reported(net, 1, folder);
    await report.finish(await trainAndKeep(solver, undefined, { report }), []);
    const { page } = await readReport(folder);
    const [{ name }] = net.explain();
    assertMatch(page, new RegExp(`<td>\u2003+conv1</td>.*<td>${name}</td>`));
  });

  it("shows a fully-connected layer's weights as images", async () => {
    const net = new FullyConnectedNet([7], { inputDim: [1, 6, 6], numClasses: 2 });
    const { solver, report } = reported(net, 1, folder);
    await report.finish(await trainAndKeep(solver, undefined, { report }), []);
    const { figures } = await readReport(folder);
    assertMatch(figures.filters, /7 filters of affine1, 6 x 6/);
  });

  it("leaves filters out that cannot be looked at, and those of an earlier run", async () => {
    await Deno.writeTextFile(`${folder}/filters.svg`, "earlier");
    const { solver, report } = reported(small(2), 2, folder);
    await report.finish(await trainAndKeep(solver, undefined, { report }), []);
    await readReport(folder, FIGURES.filter((name) => name !== "filters"));
  });

  it("is written while it trains, but takes no more than a part of the time", async () => {
    const { solver, report } = reported(small(), 3, folder);
    const seen: string[] = [];
    const trained = await solver.trainAsync({
      onProgress: report.follow,
      onCheckpoint: async () => {
        await report.afterEpoch();
        seen.push(await Deno.readTextFile(`${folder}/${PAGE}`));
      },
    });
    assertMatch(seen[0], /training: 4 of 12 iterations, 1 of 3 epochs/);
    assert(seen[0].includes("http-equiv"));
    // These epochs take far less time than the figures.
    assertEquals([seen[1], seen[2]], [seen[0], seen[0]]);
    await report.finish(trained, []);
    assertMatch(
      await Deno.readTextFile(`${folder}/${PAGE}`),
      /12 of 12 iterations, 3 epochs, loss/,
    );
  });

  it("does not end a training run that cannot be reported, and says so at the end", async () => {
    const gone = `${folder}/gone`;
    await tryReport(gone);
    await Deno.remove(gone);
    await Deno.writeTextFile(gone, "");
    const { solver, report } = reported(small(), 3, gone);
    const result = await trainAndKeep(solver, undefined, { report });
    assertEquals([result.end, result.iteration], ["done", 12]);
    await assertRejects(
      () => report.finish(result, []),
      InputError,
      `${gone} cannot be written`,
    );
  });

  it("is written of a run that diverged, or was stopped before it began", async () => {
    const net = small();
    const diverged = reported(net, 3, folder);
    const result = await diverged.solver.trainAsync({
      onProgress: ({ iteration }) => iteration === 2 && net.params.W1.data.fill(NaN),
    });
    assertEquals(result.end, "diverged");
    await diverged.report.finish(result, []);
    const { page } = await readReport(folder);
    assertMatch(page, /diverged after 3 of 12 iterations/);
    const stopped = reported(small(), 3, folder);
    const nothing = await stopped.solver.trainAsync({ signal: AbortSignal.abort() });
    await stopped.report.finish(nothing, []);
    assertMatch((await readReport(folder)).page, /stopped by Ctrl-C after 0 of 12 iterations/);
  });
});
