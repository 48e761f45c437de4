/**
 * Loss and accuracies of a training run as an SVG file.
 *
 * @module
 */

import { colors, figureSvg, Plot } from "../../notebooks/show.ts";
import type { Solver } from "../../mod.ts";

/**
 * Writes the curves of a solver's histories: losses above, accuracies below.
 *
 * @param folder Where to.
 * @param name The beginning of the files' names.
 * @param solver Whose curves.
 */
export async function writeCurves(
  folder: string,
  name: string,
  solver: Solver<Float32Array>,
): Promise<void> {
  const losses = solver.lossHistory.map((loss, i) => ({ iteration: i + 1, loss }));
  await Deno.writeTextFile(
    `${folder}/${name}-loss.svg`,
    figureSvg({
      x: { label: "iteration" },
      y: { label: "loss", grid: true, type: "log" },
      marks: [
        Plot.dot(losses, {
          x: "iteration",
          y: "loss",
          r: 1,
          fill: colors.second,
          fillOpacity: 0.25,
        }),
        Plot.lineY(
          losses,
          Plot.windowY({ k: Math.max(1, Math.round(losses.length / 50)) }, {
            x: "iteration",
            y: "loss",
            stroke: colors.first,
          }),
        ),
      ],
    }),
  );
  const accuracies = (of: string, history: readonly number[]) =>
    history.map((accuracy, epoch) => ({ epoch, accuracy, of }));
  const both = [
    ...accuracies("training", solver.trainAccHistory),
    ...accuracies("validation", solver.valAccHistory),
  ];
  const curves = figureSvg({
    x: { label: "epoch" },
    y: { label: "accuracy", grid: true },
    color: {
      domain: ["training", "validation"],
      range: [colors.second, colors.first],
      legend: false,
    },
    marks: [
      Plot.lineY(both, { x: "epoch", y: "accuracy", stroke: "of", marker: "circle" }),
      Plot.text(
        both,
        Plot.selectLast({
          x: "epoch",
          y: "accuracy",
          z: "of",
          text: "of",
          dy: -8,
          textAnchor: "end",
        }),
      ),
    ],
  });
  await Deno.writeTextFile(`${folder}/${name}-accuracy.svg`, curves);
}
