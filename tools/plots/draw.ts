/**
 * The files of a report.
 *
 * @module
 */

import {
  confusionMatrix,
  type DType,
  type LayeredNet,
  predictedClasses,
  type Tensor,
  tensor,
  testTimeScores,
  zeros,
} from "../../mod.ts";
import { gather } from "../../nn/data/examples.ts";
import { layerSizes } from "../../nn/nets/summary.ts";
import { accuracySvg, gradientNormSvg, learningRateSvg, lossSvg } from "./curves.ts";
import { toPng } from "./drawing.ts";
import { type Filters, filtersSvg, MOST_EXAMPLES, wrongExamplesSvg } from "./images.ts";
import { confusionSvg } from "./matrix.ts";
import { pageOf } from "./page.ts";
import { type FIGURES, PAGE, type ReportedRun, type Standing } from "./report.ts";

/**
 * Draws a report.
 *
 * @param run The training run.
 * @param standing Where it is.
 * @returns The bytes of its files by name.
 */
export function drawReport(run: ReportedRun, standing: Standing): Map<string, Uint8Array> {
  const { iterations, epochs } = standing.progress;
  const figures: Record<typeof FIGURES[number], string | undefined> = {
    "loss": lossSvg(run.solver),
    "accuracy": accuracySvg(run.solver, iterations / epochs),
    "learning-rate": learningRateSvg(run.solver),
    "gradient-norm": gradientNormSvg(run.solver),
    ...predictionFigures(run),
    "filters": filterFigure(run),
  };
  const utf8 = new TextEncoder(), files = new Map<string, Uint8Array>();
  for (const [name, svg] of Object.entries(figures)) {
    if (svg === undefined) continue;
    files.set(`${name}.svg`, utf8.encode(svg));
    files.set(`${name}.png`, toPng(svg));
  }
  const shown = Object.values(figures).filter((svg) => svg !== undefined);
  // The page comes last: a browser that loads it finds the figures of the same moment.
  return files.set(PAGE, utf8.encode(pageOf(run, standing, shown)));
}

/** What the net takes the validation images for. */
function predictionFigures({ net, x, y, classes, pixel }: ReportedRun) {
  const scores = testTimeScores(net, x, { mirror: false }), predicted = predictedClasses(scores);
  const of = `${y.length.toLocaleString("en")} validation images`;
  const margin = (n: number) => {
    const row = scores.data.subarray(n * classes.length, (n + 1) * classes.length);
    return row[predicted[n]] - row[y[n]];
  };
  const wrong = Array.from(predicted.keys()).filter((n) => predicted[n] !== y[n])
    .map((n) => ({ n, margin: margin(n) }))
    .sort((a, b) => b.margin - a.margin);
  const examples = wrong.slice(0, MOST_EXAMPLES).map(({ n }) => {
    const image = zeros(x.shape.slice(1), "float32");
    gather(x, Int32Array.of(n), image.data);
    for (const [i, value] of image.data.entries()) image.data[i] = pixel(value, i);
    return { image, trueClass: classes[y[n]], predicted: classes[predicted[n]] };
  });
  return {
    "confusion": confusionSvg({ counts: confusionMatrix(scores, y), classes, of }),
    "wrong-examples": wrongExamplesSvg({ examples, count: wrong.length, of }),
  };
}

function filterFigure({ net, x }: ReportedRun): string | undefined {
  const filters = firstFilters(net, x.shape.slice(1));
  return filters && filtersSvg(filters);
}

/** The filters of the first layer with weights; undefined if these are nothing that one can look at. */
function firstFilters(
  net: LayeredNet<DType>,
  [C, H, W]: readonly number[],
): Filters | undefined {
  const first = layerSizes(net.layers).find(({ layer }) => "W" in layer.names)?.layer;
  if (first === undefined) return undefined;
  const weights: Tensor = net.params[first.names.W], { shape } = weights;
  if (shape.length === 4 && (shape[1] === 1 || shape[1] === 3)) {
    return { layer: first.name, weights };
  }
  // A fully-connected layer has a weight for each pixel: its columns are images.
  if (shape.length !== 2 || shape[0] !== C * H * W || (C !== 1 && C !== 3)) return undefined;
  const [D, M] = shape, rows = new Float64Array(D * M);
  for (let d = 0; d < D; d++) for (let m = 0; m < M; m++) rows[m * D + d] = weights.data[d * M + m];
  return { layer: first.name, weights: tensor(rows, [M, C, H, W]) };
}
