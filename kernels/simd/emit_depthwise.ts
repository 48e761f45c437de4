/**
 * The inner loops of a depthwise convolution: one plane of inputs for each plane of outputs, so that
 * nothing is shared between filters. Weights stay in registers where they are few, and every vector of
 * inputs is loaded once for all the rows of a tile that it meets.
 *
 * @module
 */

import type { Assembly, Func } from "./assembler.ts";
import { stateExtents, type TapConv } from "./emit_conv.ts";
import { RESIDENT_TAPS, type RowTile } from "./tiles.ts";
import { multiplyAdd, pushSum, pushZero } from "./vector.ts";

/** A convolution of one channel, or a plain sum of taps: one without weights. */
export type PlaneConv = Omit<TapConv, "channels" | "tapRows" | "weights"> & {
  /** The weights of each output plane, tap by tap. */
  readonly weights?: number;
};

/** Writes the convolution as a function, with the parameters of `writeConv`. */
export function writeDepthwise(assembly: Assembly, name: string, conv: PlaneConv): Func {
  const { vector: { bytes }, tiles: [{ times, rows }], taps, input, output } = conv;
  const f = assembly.func(name, conv.moved ? ["i32", "i32", "i32", "i32"] : []);
  stateExtents(f, conv);
  const [x, out, weights, bias, plane] = f.locals("i32", 5);
  const parameter = (i: number) => conv.moved && i;
  pushSum(f, output.start, parameter(1)).set(out);
  pushSum(f, conv.weights ?? 0, parameter(2)).set(weights);
  pushSum(f, conv.bias ?? 0, parameter(3)).set(bias);
  const part = assembly.func(`${name}plane`, ["i32", "i32", "i32", "i32"]);
  writePlane(part, conv, rows);
  pushSum(f, input.start, parameter(0)).set(x);
  f.repeat(plane, times, () => {
    f.get(x).get(out).get(weights).get(bias).call(part);
    f.advance(out, output.plane).advance(weights, taps.length * bytes).advance(bias, bytes);
  });
  return f;
}

/** Writes the sums of one plane; parameters say where everything is. */
function writePlane(f: Func, conv: PlaneConv, rowTiles: readonly RowTile[]): void {
  const { vector, fused, taps, input, output } = conv;
  const { bytes, lanes, loadSplat } = vector;
  const [xRow, out, weightsAt, biasAt] = [0, 1, 2, 3];
  const most = Math.max(...rowTiles.map(({ rows }) => rows));
  const sums = f.locals("v128", most);
  const plain = conv.weights === undefined;
  const resident = taps.length <= RESIDENT_TAPS;
  const weights = f.locals("v128", plain ? 0 : resident ? taps.length : 1);
  const [value, bias] = f.locals("v128", 2);
  const [x, to, column, y] = f.locals("i32", 4);
  if (resident && !plain) {
    for (const [tap, weight] of weights.entries()) {
      f.get(weightsAt).at(loadSplat, tap * bytes).set(weight);
    }
  }
  if (conv.bias !== undefined) f.get(biasAt).at(loadSplat).set(bias);

  /** The products of a tile's rows, from the pointer x on. */
  function writeProducts(rows: number, at: number): void {
    const add = (row: number, weight: number) => {
      if (plain) f.get(sums[row]).get(value).op(vector.add).set(sums[row]);
      else multiplyAdd(f, vector, fused, sums[row], () => f.get(weight), () => f.get(value));
    };
    if (!resident && !plain) {
      for (const [tap, offset] of taps.entries()) {
        f.get(weightsAt).at(loadSplat, tap * bytes).set(weights[0]);
        for (let row = 0; row < rows; row++) {
          f.get(x).at("v128.load", at + row * input.row + offset).set(value);
          add(row, weights[0]);
        }
      }
      return;
    }
    const uses = new Map<number, { row: number; tap: number }[]>();
    for (let row = 0; row < rows; row++) {
      for (const [tap, offset] of taps.entries()) {
        const from = at + row * input.row + offset;
        uses.set(from, [...uses.get(from) ?? [], { row, tap }]);
      }
    }
    for (const [from, pairs] of [...uses].sort(([a], [b]) => a - b)) {
      f.get(x).at("v128.load", from).set(value);
      for (const { row, tap } of pairs) add(row, weights[tap]);
    }
  }

  function writeTile(rows: number, columnAt: number): void {
    for (const sum of sums.slice(0, rows)) {
      pushZero(f);
      f.set(sum);
    }
    writeProducts(rows, columnAt);
    for (let row = 0; row < rows; row++) {
      f.get(to).get(sums[row]);
      if (conv.bias !== undefined) f.get(bias).op(vector.add);
      if (conv.relu) {
        pushZero(f);
        f.op(vector.max);
      }
      f.at("v128.store", row * output.row + columnAt);
    }
  }

  for (const { rows, times, tiles } of rowTiles) {
    f.repeat(y, times, () => {
      for (const { columns, times: repeats } of tiles) {
        f.get(xRow).set(x).get(out).set(to);
        const step = columns.length * lanes * bytes;
        f.repeat(column, repeats, () => {
          for (const start of columns) writeTile(rows, start * bytes);
          if (repeats > 1) f.advance(x, step).advance(to, step);
        });
      }
      f.advance(xRow, rows * input.row).advance(out, rows * output.row);
    });
  }
}
