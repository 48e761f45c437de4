/**
 * The page of a report: one file of HTML that needs no other.
 *
 * @module
 */

import { cpus } from "node:os";
import type { Progress, TrainResult } from "../../mod.ts";
import { layerSizes } from "../../nn/nets/summary.ts";
import { clock, percent } from "../progress.ts";
import { outcome } from "../report.ts";
import type { ReportedRun, Standing } from "./report.ts";

/** Seconds after which a browser loads the page of a run that goes on again. */
const REFRESH = 15;

const STYLE = `
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #24292f; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem; align-items: start; }
figure { margin: 0; border: 1px solid #d0d7de; border-radius: 6px; padding: 0.5rem; overflow-x: auto; }
.tables { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.15rem 1.2rem 0.15rem 0; border-bottom: 1px solid #d8dee4; vertical-align: top; }
th { font-weight: 600; }
td.number, th.number { text-align: right; }
pre { margin: 0; white-space: pre-wrap; }`;

/**
 * The page.
 *
 * @param run The training run.
 * @param standing Where it is.
 * @param figures The figures as SVG.
 * @returns The text of the HTML.
 */
export function pageOf(run: ReportedRun, standing: Standing, figures: readonly string[]): string {
  const isRunning = standing.results === undefined;
  const refresh = isRunning ? `<meta http-equiv="refresh" content="${REFRESH}">` : "";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${refresh}
<title>${escaped(run.title)}</title>
<style>${STYLE}
</style>
</head>
<body>
<main>
<h1>${escaped(run.title)}</h1>
<pre>${escaped(statusOf(standing.progress))}</pre>
<h2>Results</h2>
${tableOf(["what", "value"], resultsOf(standing))}
<h2>Figures</h2>
<div class="figures">
${figures.map((svg) => `<figure>${svg}</figure>`).join("\n")}
</div>
<h2>Net</h2>
<p>Shapes, multiply-adds and kernels are those of one image.</p>
${tableOf(["layer", "output", "parameters", "multiply-adds", "kernel", "tier"], layerRows(run))}
<h2>Settings</h2>
${tableOf(["setting", "value"], settingRows(run))}
<h2>Machine and time</h2>
${tableOf(["what", "value"], machineRows(run, standing))}
</main>
</body>
</html>
`;
}

function statusOf(progress: Progress | TrainResult): string {
  if ("end" in progress) return outcome(progress);
  const { iteration, iterations, epoch, epochs, secondsLeft } = progress;
  return `training: ${iteration} of ${iterations} iterations, ${epoch} of ${epochs} epochs, ` +
    `${clock(secondsLeft)} left`;
}

/** What is known so far, or was measured at the end. */
function resultsOf({ progress, results }: Standing): readonly (readonly string[])[] {
  const { loss, trainAcc, valAcc } = progress;
  return [
    ["loss of the last batch", loss.toPrecision(6)],
    ...results ?? [
      ["training accuracy (a sample)", percent(trainAcc)],
      ["validation accuracy", percent(valAcc)],
    ],
  ];
}

function layerRows({ net, x }: ReportedRun): readonly (readonly string[])[] {
  const sizes = layerSizes(net.layers);
  const count = (value: number) => value > 0 ? value.toLocaleString("en") : "";
  const total = (key: "parameters" | "multiplyAdds") =>
    count(sizes.reduce((sum, layer) => sum + layer[key], 0));
  const rows = sizes.map(({ layer: { name, plan }, depth, parameters, multiplyAdds }) => {
    const { name: kernel = "", tier = "" } = plan.explain?.() ?? {};
    const indented = "\u2003".repeat(depth) + name;
    const shape = plan.outShape.join(" x ");
    return [indented, shape, count(parameters), count(multiplyAdds), kernel, tier];
  });
  return [
    ["input", x.shape.slice(1).join(" x "), "", "", "", ""],
    ...rows,
    ["total", "", total("parameters"), total("multiplyAdds"), "", ""],
  ];
}

function settingRows({ settings }: ReportedRun): readonly (readonly string[])[] {
  return Object.entries(settings)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, String(value)]);
}

function machineRows(
  { threads, net }: ReportedRun,
  { start, seconds, resumedFrom, progress }: Standing,
): readonly (readonly string[])[] {
  const { os, arch } = Deno.build, { deno, v8 } = Deno.version;
  const dtype = Object.values(net.params)[0].data instanceof Float32Array ? "float32" : "float64";
  return [
    ["system", `${os}, ${arch}`],
    ["processor", `${processor()}${navigator.hardwareConcurrency} cores`],
    ["threads", String(threads)],
    ["data type", dtype],
    ["runtime", `Deno ${deno}, V8 ${v8}`],
    ["began", start.toISOString()],
    ...resumedFrom > 0 ? [["resumed after", `${resumedFrom} iterations`]] : [],
    ["time", `${clock(seconds)} (minutes and seconds)`],
    ["speed", `${progress.imagesPerSecond.toFixed(0)} images/s in training`],
  ];
}

/** The name of the processor, where the permission to ask is there. */
function processor(): string {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "cpus" });
  const model = state === "granted" ? cpus()[0]?.model.trim() : "";
  return model ? `${model}, ` : "";
}

const NUMBER = ' class="number"';

/** A table; columns whose cells are all numbers are aligned on the right. */
function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const isNumber = head.map((_, i) => rows.every((row) => /^[\d,]*$/.test(row[i])));
  const cells = (tag: "th" | "td", row: readonly string[]) =>
    row.map((text, i) => `<${tag}${isNumber[i] ? NUMBER : ""}>${escaped(text)}</${tag}>`).join("");
  const body = rows.map((row) => `<tr>${cells("td", row)}</tr>`).join("\n");
  return `<div class="tables"><table>
<thead><tr>${cells("th", head)}</tr></thead>
<tbody>
${body}
</tbody>
</table></div>`;
}

/** Text as HTML: names of classes and folders are anything. */
function escaped(text: string): string {
  const signs: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (sign) => signs[sign]);
}
