/**
 * The page's net and training run as a program, for a notebook or a file.
 *
 * @module
 */

import type { LayerDescription } from "../../mod.ts";
import type { Settings } from "../learn/settings.ts";

/** What a program is written for. */
export interface ProgramParts {
  /** The layers, without the last one. */
  readonly layers: readonly LayerDescription[];
  readonly inputDim: readonly number[];
  readonly classes: number;
  readonly settings: Settings;
  /** The set of images: "mnist", "fashion" or another. */
  readonly set: string;
}

const PACKAGE = "@cnn-layers/cnn-layers";

/** The cells of a notebook: a program in order. */
export function cellsOf(parts: ProgramParts): readonly string[] {
  const { layers, inputDim, classes, settings, set } = parts;
  const all = [...layers, { type: "affine", args: [classes] }];
  const names = [...new Set(["Net", "Solver", ...all.flatMap(functionsOf)])];
  const { updateRule, learningRate, schedule, batchSize, epochs, reg, shift, mirror } = settings;
  if (schedule === "cosine") names.push("cosineSchedule");
  const isAugmented = shift > 0 || mirror;
  if (isAugmented) names.push("cropAndMirror");
  const net = [
    "const net = new Net({",
    `  inputDim: ${JSON.stringify(inputDim).replaceAll(",", ", ")},`,
    "  layers: [",
    ...all.map((layer) => `    ${codeOf(layer, "    ")},`),
    "  ],",
    '  dtype: "float32",',
    ...reg > 0 ? [`  reg: ${reg},`] : [],
    "});",
    "console.log(net.summary());",
  ];
  const solver = [
    "const solver = new Solver(net, data, {",
    `  updateRule: ${JSON.stringify(updateRule)},`,
    `  optimConfig: { learningRate: ${learningRate} },`,
    ...schedule === "cosine" ? ["  schedule: cosineSchedule(),"] : [],
    ...isAugmented ? [`  augment: cropAndMirror({ pad: ${shift}, mirror: ${mirror} }),`] : [],
    `  batchSize: ${batchSize},`,
    `  numEpochs: ${epochs},`,
    "  verbose: false,",
    "});",
    "solver.train();",
    "console.log(`validation accuracy ${solver.bestValAcc}`);",
  ];
  const names2 = wrapped(names.sort((a, b) => a.toLowerCase() < b.toLowerCase() ? -1 : 1));
  return [
    `import {\n${names2}\n} from "${PACKAGE}";`,
    dataCell(set),
    net.join("\n"),
    solver.join("\n"),
  ];
}

/** Names, one a line. */
function wrapped(names: readonly string[]): string {
  return names.map((name) => `  ${name},`).join("\n");
}

/** The functions that a layer's code calls. */
function functionsOf({ type, args }: LayerDescription): readonly string[] {
  return [type, ...args.flatMap((arg) => isLayer(arg) ? functionsOf(arg) : [])];
}

function isLayer(value: unknown): value is LayerDescription {
  return typeof value === "object" && value !== null && "type" in value && "args" in value;
}

/** A layer as code: `conv(8, { kernel: 5 })`. */
function codeOf({ type, args }: LayerDescription, indent: string): string {
  const isNested = args.some(isLayer), inner = `${indent}  `;
  const parts = args.map((arg) => isLayer(arg) ? codeOf(arg, inner) : valueOf(arg));
  if (!isNested) return `${type}(${parts.join(", ")})`;
  return `${type}(\n${parts.map((part) => `${inner}${part},\n`).join("")}${indent})`;
}

/** Plain data as code. */
function valueOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(valueOf).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([name, field]) => `${name}: ${valueOf(field)}`);
  return `{ ${fields.join(", ")} }`;
}

function dataCell(set: string): string {
  const isKnown = set === "mnist" || set === "fashion";
  if (isKnown) {
    const [file, name] = set === "mnist" ? ["mnist", "readMnist"] : ["fashion", "readFashion"];
    return `// In a clone of the repository; without one, write the file's address.
import { ${name} } from "../examples/lib/${file}.ts";

const { xTest, yTest, ...data } = await ${name}();`;
  }
  return `import { openPictures } from "${PACKAGE}/data";
import { channelStatistics, splitData } from "${PACKAGE}";

// A folder with a folder of images for each class.
const folder = "images";
const statistics = channelStatistics(openPictures(folder).x);
const { x, y } = openPictures(folder, { statistics });
const data = splitData(x, y, { validation: 0.1 });`;
}

/** A Jupyter notebook for Deno's kernel. */
export function notebookOf(parts: ProgramParts): string {
  const cells = cellsOf(parts).map((code, i) => ({
    cell_type: "code",
    id: `cell-${i + 1}`,
    execution_count: null,
    metadata: {},
    outputs: [],
    source: code.split(/(?<=\n)/),
  }));
  const metadata = {
    kernelspec: { display_name: "Deno", language: "typescript", name: "deno" },
    language_info: { name: "typescript", file_extension: ".ts", mimetype: "text/x.typescript" },
  };
  return JSON.stringify({ cells, metadata, nbformat: 4, nbformat_minor: 5 }, null, 1) + "\n";
}
