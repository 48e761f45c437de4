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
  advanceIndex,
  at,
  declareRows,
  type Expr,
  index,
  type PlanePlace,
  type SizeExprs,
  sum,
  times,
} from "./expr.ts";

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
  const loop = (columns: Expr, positions: number) => {
    const end = index(`yi + ${times(columns, stepY)}`);
    writer.write(`for (const end = ${end}; yi < end;)`).block(() => {
      body(positions);
      writer.writeLine(`${advanceIndex("xi", positions * stepX)};`);
      writer.writeLine(`${advanceIndex("yi", positions * stepY)};`);
    });
  };
  if (typeof cols === "number") {
    if (cols >= tile) loop(cols - cols % tile, tile);
    if (cols % tile !== 0) body(cols % tile);
  } else {
    loop(tile === 1 ? cols : "tiledCols", tile);
    if (tile > 1) loop("restCols", 1);
  }
}

function declareTiled(writer: CodeBlockWriter, cols: number | string, tile: number): void {
  if (typeof cols === "string" && tile > 1) {
    writer.writeLine(`const restCols = cols % ${tile}, tiledCols = cols - restCols;`);
  }
}

/** The widest line of the project's style. */
export const LINE_WIDTH = 100;

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

/** The multiply-adds in the straight-line code of a pass's function: what V8 must compile. */
export function multiplyAdds(
  pass: AccumulateSchedule | CorrelateSchedule,
  { inputs, outputs, cols }: SizeExprs,
): number {
  const { tile } = pass;
  const taps = "terms" in pass ? pass.terms.length : pass.KW;
  const rest = typeof cols === "number" ? cols % tile : tile > 1 ? 1 : 0;
  const positions = rest + (typeof cols === "number" && cols < tile ? 0 : tile);
  const planes = (count: number | string, size: number) =>
    blocks(count, size, "").reduce((total, block) => total + block.size, 0);
  const pairs = pass.depthwise ? 1 : planes(inputs, pass.inputs) * planes(outputs, pass.outputs);
  return taps * positions * pairs;
}

/**
 * The frame of every pass: loops over output planes, input planes and, row by row, rows of taps. The
 * input plane of a depthwise pass is the output plane.
 */
function passFunction(
  name: string,
  doc: string,
  arrays: readonly string[],
  pass: AccumulateSchedule | CorrelateSchedule,
  rowByRow: boolean,
  sizes: SizeExprs,
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
      if (!pass.depthwise) declareFull(writer, "fullInputs", sizes.inputs, pass.inputs);
      declareTiled(writer, sizes.cols, pass.tile);
      const pair = (outputs: number, inputs: number) => {
        const body = () => planes(writer, outputs, inputs);
        if (rowByRow) writer.write(`for (let ky = 0; ky < ${pass.KH}; ky++)`).block(body);
        else body();
      };
      for (const output of blocks(sizes.outputs, pass.outputs, "fullOutputs")) {
        overPlanes(writer, "o", output, () => {
          if (pass.depthwise) return pair(output.size, 1);
          for (const input of blocks(sizes.inputs, pass.inputs, "fullInputs")) {
            overPlanes(writer, "i", input, () => pair(output.size, input.size));
          }
        });
      }
    },
  };
}

/** The variable that holds the input plane. */
function inputPlane({ depthwise }: AccumulateSchedule | CorrelateSchedule): string {
  return depthwise ? "o" : "i";
}

/** The line that finds the first weight of a pair of planes, or of one of its rows of taps. */
function weightIndex(
  { depthwise }: AccumulateSchedule | CorrelateSchedule,
  sizes: SizeExprs,
  taps: Expr,
): string {
  const input = depthwise ? 0 : times("i", sizes.wInput);
  return `const wi = ${sum(times("o", sizes.wOutput), input, taps)};`;
}

/** A pass that adds products to y: forward, or the gradient of the input. */
export function accumulateFunction(
  name: string,
  doc: string,
  pass: AccumulateSchedule,
  sizes: SizeExprs,
): FunctionDeclarationStructure {
  const { KH, KW, stepX, stepY, dilation } = pass;
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
    writer.writeLine(weightIndex(pass, sizes, rowByRow ? times("ky", KW) : 0));
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
    let readRow: Expr = 0, writeRow: Expr = 0;
    const place = times("ky", dilation.y);
    if (rowByRow && pass.direction === "forward") readRow = place;
    if (rowByRow && pass.direction === "backwardData") {
      const lastRow = Math.floor((KH - 1) * dilation.y / stepY.y);
      const back = stepY.y === 1 ? place : `Math.floor(${place} / ${stepY.y})`;
      writer.writeLine(`const readRow = ${lastRow} - ${back};`);
      readRow = "readRow";
      if (stepY.y > 1) {
        writer.writeLine(`const writeRow = ${place} % ${stepY.y};`);
        writeRow = "writeRow";
      }
    }
    const row = (step: number, extra: Expr, pitch: Expr) =>
      sum(times("r", times(step, pitch)), times(extra, pitch));
    writer.write(`for (let r = 0; r < ${sizes.rows}; r++)`).block(() => {
      const x = row(stepX.y, readRow, sizes.xPitch);
      const y = row(stepY.y, writeRow, sizes.yPitch);
      const xi = sum(times(inputPlane(pass), sizes.xPlane), x),
        yi = sum(times("o", sizes.yPlane), y);
      writer.writeLine(`let xi = ${index(xi)};`);
      writer.writeLine(`let yi = ${index(yi)};`);
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
  sizes: SizeExprs,
): FunctionDeclarationStructure {
  const { KH, KW, stepX, dilation } = pass;
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
            const col = position * stepX.x + kx * dilation.x;
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
      const tapRow = times(KH > 1 ? times("ky", dilation.y) : 0, sizes.xPitch);
      const xi = sum(times(inputPlane(pass), sizes.xPlane), row, tapRow);
      const yi = sum(times("o", sizes.yPlane), times("r", sizes.yPitch));
      writer.writeLine(`let xi = ${index(xi)};`);
      writer.writeLine(`let yi = ${index(yi)};`);
      overColumns(
        writer,
        sizes.cols,
        pass.tile,
        stepX.x,
        1,
        (positions) => tile(writer, positions, outputs, inputs),
      );
    });
    writer.writeLine(weightIndex(pass, sizes, KH > 1 ? times("ky", KW) : 0));
    for (const { output, input, kx } of sums) {
      const offset = sum(times(output, sizes.wOutput), times(input, sizes.wInput), kx);
      writer.writeLine(`dw[${at("wi", offset)}] += ${sumName(output, input, kx)};`);
    }
  }

  return passFunction(name, doc, ["x", "y", "dw"], pass, KH > 1, sizes, planes);
}
