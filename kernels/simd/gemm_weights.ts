/**
 * The gradients of weights and biases as a product of matrices, for few positions and many channels: dout's
 * planes, a filter in a row, times the inputs that each tap meets, a position in a row (im2col). The sums
 * stay in the product's tiles, where vectors of sums along rows would come from the memory for each weight.
 *
 * @module
 */

import type { Pass } from "../passes.ts";
import type { WeightRun } from "../runner.ts";
import { zerosOf } from "../tensor.ts";
import { Assembly, type Func } from "./assembler.ts";
import { gemmWeightsCost, nanosecondsOf } from "./costs.ts";
import { ROWS, writeProduct, writeTranspose, writeTransposed, writeUnpack } from "./emit_affine.ts";
import { tileBytes, tileVectors, tileWidth } from "./emit_product.ts";
import { runJob } from "./job.ts";
import { compile, Layout } from "./memory.ts";
import { divisorWithin, sourceShape } from "./pass_layout.ts";
import { padded } from "./planes.ts";
import type { Vector } from "./vector.ts";

/** Positions of a plane that are served: a panel of inputs stays in the first-level cache. */
const MOST_POSITIONS = 1024;
/** Bytes that a block of sums should take, and of inputs beside it. */
const BLOCK = 1 << 19;

/** Whether a forward pass's gradients of weights can be such a product. */
export function gemmServesWeights({ rows, columns, inputs, outputs }: Pass): boolean {
  return inputs * outputs > 1 && rows.positions * columns.positions <= MOST_POSITIONS;
}

/** Channels whose sums are computed together: a divisor of all. */
function channelBlock({ rows, columns, inputs, outputs }: Pass, { bytes }: Vector): number {
  const taps = rows.taps.length * columns.taps.length;
  const beside = Math.max(outputs, rows.positions * columns.positions);
  return divisorWithin(inputs, BLOCK / (beside * taps * bytes));
}

/** Plans dw and db for a forward pass: what it needs of the memory, and the attempt. */
export function planGemmWeights(
  pass: Pass,
  vector: Vector,
  fused: boolean,
): { readonly layout: Layout; readonly make: () => WeightRun } {
  const { rows, columns, groups, inputs, outputs } = pass;
  const { bytes, lanes } = vector;
  const OH = rows.positions, OW = columns.positions, P = OH * OW;
  const taps = rows.taps.length * columns.taps.length;
  const width = tileWidth(vector), tileRow = tileBytes(vector);
  const channels = channelBlock(pass, vector), blocks = inputs / channels;
  const sums = channels * taps;
  // A panel of ones is for the biases.
  const panels = Math.ceil(sums / width), strips = Math.ceil(outputs / ROWS);
  const layout = new Layout();
  const stride = columns.sourceStep;
  const x = padded(layout, vector, "x", sourceShape(pass, channels));
  const doutBytes = strips * ROWS * P * bytes, productBytes = strips * ROWS * tileRow;
  const dout = layout.region("dout", doutBytes + 16);
  // Transposing continues to a whole vector of steps.
  const packedDout = layout.region("packed dout", doutBytes + ROWS * 16);
  const inputBytes = panels * P * tileRow;
  const packedInputs = layout.region("packed inputs", inputBytes + P * tileRow);
  const ones = packedInputs + inputBytes;
  const products = layout.region("products", (panels + 1) * productBytes);
  const outBytes = (outputs - 1) * sums * bytes + panels * tileRow;
  const out = layout.region("out", Math.max(outBytes, outputs * bytes + tileRow));
  const zeros = layout.region("zeros", panels * tileRow);
  const table = layout.region("taps", panels * width * 4);

  /** Where each column of the second matrix begins; those after the last one read as it does. */
  function tapPlaces(): Float32Array {
    const places = Array.from(
      { length: channels },
      (_, c) =>
        rows.taps.map(({ from: y }) =>
          columns.taps.map(({ from }) =>
            c * x.planes.plane + y * x.planes.row +
            ((from % stride) * x.pitch + Math.floor(from / stride)) * bytes
          )
        ),
    ).flat(2);
    const words = Array.from(
      { length: panels * width },
      (_, i) => x.planes.start + places[Math.min(i, sums - 1)],
    );
    // A copy of the same bits.
    return new Float32Array(Int32Array.from(words).buffer);
  }

  /** Copies the inputs of all taps together, position by position: panels of taps. */
  function writeInputs(f: Func): void {
    const [entry, to, panel, y] = f.locals("i32", 4);
    const from = f.locals("i32", width);
    const square = f.locals("v128", lanes), mixed = f.locals("v128", lanes);
    f.reads(table, panels * width * 4).writes(packedInputs, inputBytes);
    // The last column's last row.
    f.reads(x.planes.start, channels * x.planes.plane);

    /** Some positions from the pointers on, `at` positions further. */
    function writePositions(at: number): void {
      for (let half = 0; half < tileVectors(vector); half++) {
        for (let lane = 0; lane < lanes; lane++) {
          f.get(from[half * lanes + lane]).at("v128.load", at * bytes).set(square[lane]);
        }
        for (const [i, value] of writeTranspose(f, square, mixed).entries()) {
          f.get(to).get(value).at("v128.store", (at + i) * tileRow + half * 16);
        }
      }
    }

    function writePosition(at: number): void {
      for (let i = 0; i < width; i++) {
        f.get(to).get(from[i]).at(vector.loadScalar, at * bytes);
        f.at(vector.storeScalar, at * tileRow + i * bytes);
      }
    }

    const column = f.local("i32");
    const whole = Math.floor(OW / lanes), rest = OW % lanes;
    f.const(table).set(entry).const(packedInputs).set(to);
    f.repeat(panel, panels, () => {
      for (const [i, pointer] of from.entries()) f.get(entry).at("i32.load", i * 4).set(pointer);
      f.repeat(y, OH, () => {
        f.repeat(column, whole, () => {
          writePositions(0);
          for (const pointer of from) f.advance(pointer, 16);
          f.advance(to, lanes * tileRow);
        });
        for (let i = 0; i < rest; i++) writePosition(i);
        const row = rows.sourceStep * x.planes.row - whole * 16;
        for (const pointer of from) f.advance(pointer, row);
        f.advance(to, rest * tileRow);
      });
      f.advance(entry, width * 4);
    });
  }

  function make(): WeightRun {
    const assembly = new Assembly();
    const func = (name: string, params: number) =>
      assembly.func(name, Array<"i32">(params).fill("i32"));
    const pad = func("pad", 0);
    x.write(pad);
    const inputsFunc = func("inputs", 0).call(pad);
    writeInputs(inputsFunc);
    const pack = func("pack", 5).reads(dout, doutBytes + 16);
    writeTransposed(pack.writes(packedDout, doutBytes + ROWS * 16), vector, ROWS);
    const product = func("product", 8).reads(packedDout, doutBytes);
    product.reads(packedInputs, inputBytes + P * tileRow);
    writeProduct(product.writes(products, (panels + 1) * productBytes), vector, fused);
    const unpack = func("unpack", 7).reads(products, (panels + 1) * productBytes);
    unpack.reads(zeros, panels * tileRow);
    writeUnpack(
      unpack.writes(out, Math.max(outBytes, outputs * bytes + tileRow)),
      vector,
      false,
    );
    const module = compile(assembly, layout);
    const cost = nanosecondsOf(gemmWeightsCost(pass, vector));
    const places = tapPlaces(), allOnes = zerosOf(vector.dtype, P * width).fill(1);

    return (N, xs, douts, dw, db) => {
      if (N === 0) return false;
      const long = N * P > vector.mostTerms;
      runJob({
        cost: N * cost / (groups * blocks),
        prepare(queue) {
          queue.use(module);
          queue.load(table, places, 0, places.length);
          queue.load(ones, allOnes, 0, allOnes.length);
          queue.clear(zeros, panels * tileRow);
          x.clear(queue);
          return true;
        },
        run(queue, first, end) {
          let packed = -1;
          for (let part = first; part < end; part++) {
            const group = Math.floor(part / blocks), block = part % blocks;
            const withBiases = block === 0 && db !== undefined;
            for (let n = 0; n < N; n++) {
              const planes = n * groups + group;
              if (planes !== packed) {
                queue.load(dout, douts, planes * outputs * P, (planes + 1) * outputs * P);
                queue.call("pack", dout, P * bytes, packedDout, strips, P);
                packed = planes;
              }
              x.load(queue, xs, planes * blocks + block, planes * blocks + block + 1);
              queue.call("inputs");
              const count = panels + (withBiases ? 1 : 0), onto = long ? 0 : n, plus = long ? n : 0;
              const sizes = [strips, count, P, onto, plus];
              queue.call("product", packedDout, packedInputs, products, ...sizes);
            }
            const row = sums * bytes;
            queue.call("unpack", products, out, row, outputs, panels, productBytes, zeros);
            const filter = inputs * taps, before = group * outputs * filter + block * sums;
            queue.storeRows(dw, before, filter, sums, outputs, out);
            if (!withBiases) continue;
            // Each row's first number lies where the row after it does not write.
            const at = products + panels * productBytes;
            queue.call("unpack", at, out, bytes, outputs, 1, productBytes, zeros);
            queue.store(db, group * outputs, outputs, out);
          }
          return end;
        },
      }, groups * blocks);
      return true;
    };
  }

  return { layout, make };
}
