/**
 * Schedule -> ts-morph structures: the functions of a convolution kernel.
 *
 * @module
 */

import type { CodeBlockWriter, FunctionDeclarationStructure } from "ts-morph";
import { StructureKind } from "ts-morph";
import type { AccumulateSchedule, CorrelateSchedule } from "./schedule.ts";
import {
  advance,
  at,
  declareRows,
  int32,
  type PlanePlace,
  type SizeText,
  sum,
  type Text,
  times,
} from "./text.ts";

/** A block of planes: how many, and from which plane to which. */
interface Block {
  readonly size: number;
  readonly from: string;
  readonly to: string;
}

/**
 * Splits a run of planes into full blocks and single planes.
 *
 * @param count How many planes: a number, or the name of a size known at run time.
 * @param size Planes in a full block.
 * @param full The name of the number of planes in full blocks, where that is known at run time.
 */
function blocks(count: number | string, size: number, full: string): Block[] {
  if (size === 1) return [{ size, from: "0", to: `${count}` }];
  if (typeof count === "string") {
    return [{ size, from: "0", to: full }, { size: 1, from: full, to: count }];
  }
  const split = count - count % size;
  return [
    { size, from: "0", to: `${split}` },
    { size: 1, from: `${split}`, to: `${count}` },
  ].filter(({ from, to }) => from !== to);
}

/** `const fullInputs = inputs - inputs % 4;` where the number of planes is known at run time only. */
function declareFull(
  writer: CodeBlockWriter,
  name: string,
  count: number | string,
  size: number,
): void {
  if (typeof count === "string" && size > 1) {
    writer.writeLine(`const ${name} = ${count} - ${count} % ${size};`);
  }
}

/** A loop over the planes of a block. */
function overPlanes(
  writer: CodeBlockWriter,
  variable: string,
  { size, from, to }: Block,
  body: () => void,
): void {
  writer.write(
    `for (let ${variable} = ${from}; ${variable} < ${to}; ${advance(variable, size)})`,
  ).block(body);
}

/**
 * A loop over the columns of a row, `tile` positions at a time, and then over the rest. Where the
 * number of columns is known the rest is straight-line code, else a loop over single positions.
 */
function overColumns(
  writer: CodeBlockWriter,
  cols: number | string,
  tile: number,
  stepX: number,
  stepY: number,
  body: (positions: number) => void,
): void {
  const tiled = typeof cols === "number" ? cols - cols % tile : tile === 1 ? cols : "tiledCols";
  if (tiled !== 0) {
    writer.write(
      `for (const end = ${
        int32(`yi + ${times(tiled, stepY)}`, typeof cols === "number")
      }; yi < end; ${advance("yi", tile * stepY)})`,
    ).block(() => {
      body(tile);
      writer.writeLine(`${advance("xi", tile * stepX)};`);
    });
  }
  if (typeof cols === "number") {
    if (cols % tile !== 0) body(cols % tile);
  } else if (tile > 1) {
    writer.write(
      `for (const end = ${int32(`yi + ${times("(cols - tiledCols)", stepY)}`, false)}; yi < end; ${
        advance("yi", stepY)
      })`,
    ).block(() => {
      body(1);
      writer.writeLine(`${advance("xi", stepX)};`);
    });
  }
}

function declareTiled(writer: CodeBlockWriter, cols: number | string, tile: number): void {
  if (typeof cols === "string" && tile > 1) {
    writer.writeLine(`const tiledCols = cols - cols % ${tile};`);
  }
}

/** The widest line of the project's style. */
const LINE_WIDTH = 100;

/**
 * Writes `target = target + products;`, over as many lines as it needs. The sum grows product by product
 * as in the naive loops, not by one sum of products, so that it rounds as they do.
 */
function writeProducts(
  writer: CodeBlockWriter,
  target: string,
  products: readonly string[],
): void {
  let line = products.length === 1 ? `${target} +=` : `${target} = ${target} +`;
  for (const [i, product] of products.entries()) {
    const end = i === products.length - 1 ? ";" : " +";
    if (writer.getIndentationLevel() * 2 + line.length + 1 + product.length + 2 > LINE_WIDTH) {
      writer.writeLine(line);
      line = ` `;
    }
    line += ` ${product}${end}`;
  }
  writer.writeLine(line);
}

/** The distinct places of a list, in reading order. */
function distinct(places: readonly PlanePlace[]): PlanePlace[] {
  const seen = new Map(places.map((p) => [`${p.plane},${p.row},${p.col}`, p]));
  return [...seen.values()].sort((p, q) => p.plane - q.plane || p.row - q.row || p.col - q.col);
}

/** The frame of every pass: loops over output planes, input planes and, row by row, rows of taps. */
function passFunction(
  name: string,
  doc: string,
  arrays: readonly string[],
  pass: AccumulateSchedule | CorrelateSchedule,
  rowByRow: boolean,
  sizes: SizeText,
  planes: (writer: CodeBlockWriter, outputs: number, inputs: number) => void,
): FunctionDeclarationStructure {
  return {
    kind: StructureKind.Function,
    name,
    docs: [doc],
    parameters: [
      ...arrays.map((array) => ({ name: array, type: "Numbers" })),
      ...(sizes.known ? [] : [{ name: "s", type: "PassSizes" }]),
    ],
    returnType: "void",
    statements: (writer) => {
      sizes.declare(writer);
      declareFull(writer, "fullOutputs", sizes.outputs, pass.outputs);
      declareFull(writer, "fullInputs", sizes.inputs, pass.inputs);
      declareTiled(writer, sizes.cols, pass.tile);
      for (const output of blocks(sizes.outputs, pass.outputs, "fullOutputs")) {
        overPlanes(writer, "o", output, () => {
          for (const input of blocks(sizes.inputs, pass.inputs, "fullInputs")) {
            overPlanes(writer, "i", input, () => {
              const body = () => planes(writer, output.size, input.size);
              if (rowByRow) writer.write(`for (let ky = 0; ky < ${pass.KH}; ky++)`).block(body);
              else body();
            });
          }
        });
      }
    },
  };
}

/** The line that finds the first weight of a pair of planes, or of one of its rows of taps. */
function weightIndex(sizes: SizeText, taps: Text): string {
  return `const wi = ${sum(times("o", sizes.wOutput), times("i", sizes.wInput), taps)};`;
}

/** A pass that adds products to y: forward, or the gradient of the input. */
export function accumulateFunction(
  name: string,
  doc: string,
  pass: AccumulateSchedule,
  sizes: SizeText,
): FunctionDeclarationStructure {
  const { KH, KW, stepX, stepY } = pass;
  const rowByRow = pass.taps === "row";
  const pointwise = KH * KW === 1;
  const yName = (p: PlanePlace) => `y${pointwise ? p.plane : p.row}_${p.col}`;
  const xName = (p: PlanePlace) => `x${pointwise ? p.plane : p.row}_${p.col}`;
  const wName = (output: number, input: number, ky: number, kx: number) =>
    pointwise ? `w${output}_${input}` : `w${ky}_${kx}`;

  function tile(writer: CodeBlockWriter, positions: number, outputs: number, inputs: number) {
    const reads: PlanePlace[] = [];
    const writes: PlanePlace[] = [];
    const products = new Map<string, { read: PlanePlace; weight: string }[]>();
    for (let output = 0; output < outputs; output++) {
      for (let input = 0; input < inputs; input++) {
        for (const { ky, kx, from, to } of pass.terms) {
          for (let position = 0; position < positions; position++) {
            const read = { plane: input, row: from.row, col: from.col + position * stepX.x };
            const write = { plane: output, row: to.row, col: to.col + position * stepY.x };
            reads.push(read);
            writes.push(write);
            const weight = wName(output, input, ky, kx);
            const list = products.get(yName(write)) ?? [];
            list.push({ read, weight });
            products.set(yName(write), list);
          }
        }
      }
    }
    const readAt = declareRows(writer, "xi", distinct(reads), sizes.xPlane, sizes.xPitch);
    const writeAt = declareRows(writer, "yi", distinct(writes), sizes.yPlane, sizes.yPitch);
    // A number that many outputs share is loaded once; one or two uses are cheaper from memory.
    const shared = pointwise || pass.direction === "backwardData";
    if (shared) {
      for (const p of distinct(reads)) writer.writeLine(`const ${xName(p)} = x[${readAt(p)}];`);
    }
    const xText = (p: PlanePlace) => shared ? xName(p) : `x[${readAt(p)}]`;
    for (const p of distinct(writes)) {
      const terms = products.get(yName(p))!.map(({ read, weight }) => `${xText(read)} * ${weight}`);
      writeProducts(writer, `y[${writeAt(p)}]`, terms);
    }
  }

  function planes(writer: CodeBlockWriter, outputs: number, inputs: number): void {
    writer.writeLine(weightIndex(sizes, rowByRow ? times("ky", KW) : 0));
    for (let output = 0; output < outputs; output++) {
      for (let input = 0; input < inputs; input++) {
        for (const { ky, kx } of pass.terms) {
          const weight = wName(output, input, ky, kx);
          const offset = sum(
            times(output, sizes.wOutput),
            times(input, sizes.wInput),
            ky * KW + kx,
          );
          writer.writeLine(`const ${weight} = w[${at("wi", offset)}];`);
        }
      }
    }
    // Where a row of taps reads and writes: the same formulas as in the schedule's terms.
    let readRow: Text = 0, writeRow: Text = 0;
    if (rowByRow && pass.direction === "forward") readRow = "ky";
    if (rowByRow && pass.direction === "backwardData") {
      const lastRow = Math.floor((KH - 1) / stepY.y);
      writer.writeLine(
        stepY.y === 1
          ? `const readRow = ${lastRow} - ky;`
          : `const readRow = ${lastRow} - Math.floor(ky / ${stepY.y});`,
      );
      readRow = "readRow";
      if (stepY.y > 1) {
        writer.writeLine(`const writeRow = ky % ${stepY.y};`);
        writeRow = "writeRow";
      }
    }
    const row = (step: number, extra: Text, pitch: Text) =>
      sum(times("r", times(step, pitch)), times(extra, pitch));
    writer.write(`for (let r = 0; r < ${sizes.rows}; r++)`).block(() => {
      const x = row(stepX.y, readRow, sizes.xPitch);
      const y = row(stepY.y, writeRow, sizes.yPitch);
      const xi = sum(times("i", sizes.xPlane), x), yi = sum(times("o", sizes.yPlane), y);
      writer.writeLine(`let xi = ${int32(xi, sizes.known)};`);
      writer.writeLine(`let yi = ${int32(yi, sizes.known)};`);
      overColumns(
        writer,
        sizes.cols,
        pass.tile,
        stepX.x,
        stepY.x,
        (positions) => tile(writer, positions, outputs, inputs),
      );
    });
  }

  return passFunction(name, doc, ["x", "w", "y"], pass, rowByRow, sizes, planes);
}

/** A pass that sums products over whole planes: the gradient of the filters. */
export function correlateFunction(
  name: string,
  doc: string,
  pass: CorrelateSchedule,
  sizes: SizeText,
): FunctionDeclarationStructure {
  const { KH, KW, stepX } = pass;
  const pointwise = KH * KW === 1;
  const sumName = (output: number, input: number, kx: number) =>
    `dw${output}_${pointwise ? input : kx}`;

  function tile(writer: CodeBlockWriter, positions: number, outputs: number, inputs: number) {
    const reads: PlanePlace[] = [];
    const gradients: PlanePlace[] = [];
    const products = new Map<string, string[]>();
    for (let output = 0; output < outputs; output++) {
      for (let position = 0; position < positions; position++) {
        gradients.push({ plane: output, row: 0, col: position });
        for (let input = 0; input < inputs; input++) {
          for (let kx = 0; kx < KW; kx++) {
            const col = position * stepX.x + kx;
            reads.push({ plane: input, row: 0, col });
            const target = sumName(output, input, kx);
            const list = products.get(target) ?? [];
            list.push(`x${input}_${col} * y${output}_${position}`);
            products.set(target, list);
          }
        }
      }
    }
    const readAt = declareRows(writer, "xi", distinct(reads), sizes.xPlane, sizes.xPitch);
    const gradientAt = declareRows(writer, "yi", distinct(gradients), sizes.yPlane, sizes.yPitch);
    for (const p of distinct(reads)) {
      writer.writeLine(`const x${p.plane}_${p.col} = x[${readAt(p)}];`);
    }
    for (const p of distinct(gradients)) {
      writer.writeLine(`const y${p.plane}_${p.col} = y[${gradientAt(p)}];`);
    }
    for (const [target, list] of products) writeProducts(writer, target, list);
  }

  function planes(writer: CodeBlockWriter, outputs: number, inputs: number): void {
    const sums = Array.from({ length: outputs }, (_, output) => output).flatMap((output) =>
      Array.from({ length: inputs }, (_, input) => input).flatMap((input) =>
        Array.from({ length: KW }, (_, kx) => ({ output, input, kx }))
      )
    );
    for (const { output, input, kx } of sums) {
      writer.writeLine(`let ${sumName(output, input, kx)} = 0;`);
    }
    writer.write(`for (let r = 0; r < ${sizes.rows}; r++)`).block(() => {
      const row = times("r", times(stepX.y, sizes.xPitch));
      const tapRow = times(KH > 1 ? "ky" : 0, sizes.xPitch);
      const xi = sum(times("i", sizes.xPlane), row, tapRow);
      const yi = sum(times("o", sizes.yPlane), times("r", sizes.yPitch));
      writer.writeLine(`let xi = ${int32(xi, sizes.known)};`);
      writer.writeLine(`let yi = ${int32(yi, sizes.known)};`);
      overColumns(
        writer,
        sizes.cols,
        pass.tile,
        stepX.x,
        1,
        (positions) => tile(writer, positions, outputs, inputs),
      );
    });
    writer.writeLine(weightIndex(sizes, KH > 1 ? times("ky", KW) : 0));
    for (const { output, input, kx } of sums) {
      const offset = sum(times(output, sizes.wOutput), times(input, sizes.wInput), kx);
      writer.writeLine(`dw[${at("wi", offset)}] += ${sumName(output, input, kx)};`);
    }
  }

  return passFunction(name, doc, ["x", "y", "dw"], pass, KH > 1, sizes, planes);
}
