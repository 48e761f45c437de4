/**
 * Sums of taps as a product of matrices, for narrow maps of many channels: the forward pass, and the gradient
 * of the input.
 *
 * A vector holds filters. Rows of the first matrix are positions, whose inputs under all taps are copied
 * together (im2col), strip by strip of five positions; so no lane is lost at the end of a row. Weights lie in
 * panels of two vectors of filters. Both are cut into blocks of channels, so that a panel stays in the
 * first-level cache, and the strips in the second, while they are multiplied.
 *
 * Source of the scheme: Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008.
 *
 * @module
 */

import type { Epilogue } from "../epilogue.ts";
import type { Pass } from "../passes.ts";
import type { FloatArray } from "../tensor.ts";
import { Assembly, type Func } from "./assembler.ts";
import { gemmCost, nanosecondsOf } from "./costs.ts";
import { writeTransposed } from "./emit_affine.ts";
import { writeFinish, writeProduct, writeStrips } from "./emit_gemm.ts";
import { tileBytes, tileVectors, tileWidth } from "./emit_product.ts";
import { compile, Layout, type Plan } from "./memory.ts";
import { PackedWeights } from "./packed_weights.ts";
import {
  groupBatch,
  layoutPass,
  loadBiases,
  partRunner,
  type PhaseSum,
  writeGroups,
} from "./pass_layout.ts";
import type { ImageProgram } from "./program.ts";
import type { Queue } from "./queue.ts";
import { evenRuns, pieces, type Run } from "./tiles.ts";
import { noteFinite, type Vector } from "./vector.ts";

/** Positions of a strip: rows of the register tile. */
export const STRIP = 5;
/** Positions that are multiplied before the next ones. */
const MOST_POSITIONS = 320;
/** Bytes of a panel of weights: it stays in the first-level cache. */
const PANEL_BYTES = 1 << 14;

/** A sum of taps, cut into blocks. */
export interface GemmSum extends PhaseSum {
  /** Every tap's byte offset, in the order of the weights. */
  readonly offsets: readonly number[];
  /** Panels of outputs. */
  readonly panels: number;
  /** Channels of each block. */
  readonly channels: readonly Run[];
  /** Rows of a block of positions, its strips, and where its table of positions lies. */
  readonly blockRows: number;
  readonly strips: number;
  readonly table: number;
  /** Bytes of the weights of the sums before, in each group. */
  readonly weightsBefore: number;
}

/** Words of a strip in the table: where its positions read, and whether they are neighbors. */
export const TABLE_WORDS: number = STRIP + 1;

/** Plans a pass. */
export function planGemm(pass: Pass, vector: Vector, fused: boolean): Plan<ImageProgram> {
  const { rows, columns, groups, inputs, outputs, weights } = pass;
  const { bytes, lanes } = vector;
  const width = tileWidth(vector), tileRow = tileBytes(vector);
  const layout = new Layout();
  const batch = groupBatch(pass, vector);
  const parts = groups / batch;
  const walk = { rows, columns, groups: batch, inputs, outputs };
  const passLayout = layoutPass(layout, vector, walk);
  const { source, target, sums: phaseSums, phaseCount } = passLayout;
  const KW = columns.taps.length;
  let weightsBefore = 0;
  const sums = phaseSums.map((sum): GemmSum => {
    const taps = sum.phases[0].y.taps.length * sum.taps.length;
    const offsets = sum.phases[0].y.taps.flatMap((_, ky) =>
      sum.taps.map((tap) => ky * sum.tapRow + tap)
    );
    const panels = Math.ceil(sum.count / width);
    const most = Math.max(1, Math.floor(PANEL_BYTES / (Math.max(1, taps) * tileRow)));
    const blocks = Math.ceil(sum.rows / Math.max(1, Math.floor(MOST_POSITIONS / sum.columns)));
    const blockRows = Math.ceil(sum.rows / blocks);
    const strips = Math.ceil(blockRows * sum.columns / STRIP);
    const before = weightsBefore;
    weightsBefore += panels * inputs * taps * tileRow;
    return {
      ...sum,
      offsets,
      panels,
      channels: evenRuns(inputs, most),
      blockRows,
      strips,
      table: layout.region("positions", strips * TABLE_WORDS * 4),
      weightsBefore: before,
    };
  });
  const most = (of: (sum: GemmSum) => number) => Math.max(...sums.map(of));
  // Transposing reads whole panels of outputs.
  const rawRows = Math.ceil(outputs / width) * width;
  const rawBytes = ((groups - 1) * weights.group + rawRows * weights.group / outputs) * bytes;
  const rawWeights = layout.region("weights", rawBytes);
  const packedBytes = groups * weightsBefore;
  // Transposing continues to a whole vector of steps.
  const packedWeights = layout.region("packed weights", packedBytes + lanes * tileRow);
  const biases = layout.region("biases", groups * outputs * phaseCount * bytes);
  const nonFiniteFlag = pass.gradient ? layout.region("non-finite flag", 16) : undefined;
  const steps = (sum: GemmSum) => sum.channels[0].size * sum.offsets.length;
  const stripBytes = most((sum) => sum.strips * steps(sum)) * STRIP * bytes;
  const packedStrips = layout.region("strips", stripBytes);
  const productBytes = most((sum) => sum.panels * sum.strips) * STRIP * tileRow;
  const products = layout.region("products", productBytes + lanes * tileRow);
  const groupStep = { weights: weightsBefore, biases: outputs * phaseCount * bytes };

  /** Writes the sums of one group: parameters move the source, the target, weights and biases. */
  function writeSum(
    assembly: Assembly,
    name: string,
    sum: GemmSum,
    epilogue: Epilogue,
    weights: PackedWeights,
  ): Func {
    const f = assembly.func(name, ["i32", "i32", "i32", "i32"]);
    const [moved, to, weight, bias] = [0, 1, 2, 3];
    const at = { strips: packedStrips, products, biases };
    const context = { assembly, vector, fused, sum, ...at, weightsMemory: weights.memory };
    const finish = writeFinish(context, `${name}Finish`, epilogue);
    // A phase that no tap reaches is zero.
    const parts = sum.offsets.length === 0 ? undefined : {
      strips: writeStrips(context, `${name}Strips`, source.planes),
      product: writeProduct(context, `${name}Product`),
    };
    f.reads(sum.table, sum.strips * TABLE_WORDS * 4);
    const [y, from, channelAt, b, panelAt, first, block] = f.locals("i32", 7);
    const [row, out] = f.locals("i32", 2);
    const blocks = Math.ceil(sum.rows / sum.blockRows);
    f.repeat(block, blocks, () => {
      // The last block starts earlier, and computes some rows again.
      f.get(y).const(sum.rows - sum.blockRows).op("i32.lt_u").if(() => {
        f.get(y).set(row);
        f.op("else").const(sum.rows - sum.blockRows).set(row);
      });
      f.get(row).const(sum.input.row).op("i32.mul").get(moved).op("i32.add").set(from);
      f.get(row).const(sum.output.row).op("i32.mul").get(to).op("i32.add").set(out);
      f.const(0).set(first).get(from).set(channelAt);
      f.get(weight).const(weights.start + sum.weightsBefore).op("i32.add").set(b);
      for (const { size, times } of parts === undefined ? [] : sum.channels) {
        const count = size * sum.offsets.length;
        f.repeat(panelAt, times, () => {
          f.get(channelAt).const(size).call(parts!.strips);
          f.get(b).const(count).get(first).call(parts!.product);
          f.advance(channelAt, size * source.planes.plane);
          f.advance(b, sum.panels * count * tileRow);
          f.const(1).set(first);
        });
      }
      f.get(out).get(bias).call(finish);
      f.advance(y, sum.blockRows);
    });
    return f;
  }

  function make(epilogue: Epilogue, inPlace = false): ImageProgram {
    const assembly = new Assembly();
    const packed = new PackedWeights(vector, packedWeights, packedBytes / bytes, inPlace);
    const pad = assembly.func("pad");
    source.write(pad);
    const image = assembly.func("image", ["i32", "i32"]).call(pad);
    const funcs = sums.map((sum, i) => writeSum(assembly, `sum${i}`, sum, epilogue, packed));
    stateExtents(image);
    packed.readBy(image);
    writeGroups(assembly, image, batch, funcs, passLayout, groupStep);
    for (const [i, sum] of sums.entries()) {
      if (sum.offsets.length > 0) writePacking(assembly, `pack${i}`, sum);
    }
    const module = compile(assembly, layout, packed.layout);
    const packings = listPackings();
    const tables = sums.map((sum) => ({ at: sum.table, words: positionsOf(sum, bytes) }));
    const targetSize = batch * outputs * rows.target.size * columns.target.size;

    /** Packs weights; returns whether they serve. */
    function pack(queue: Queue, w: FloatArray): boolean {
      queue.load(rawWeights, w, 0, w.length);
      if (nonFiniteFlag) queue.clear(nonFiniteFlag, 16);
      for (const packing of packings) queue.call(...packing);
      // The padding's zeros times infinity would be NaN, where the definition has no term.
      return nonFiniteFlag === undefined || !queue.isSet(nonFiniteFlag, 0);
    }

    return {
      cost: nanosecondsOf(gemmCost(pass, vector)),
      packed,
      prepare(queue, w, { bias }, given) {
        if (!packed.use(queue, module, given) && !pack(queue, w)) return false;
        for (const { at, words } of tables) queue.load(at, words, 0, words.length);
        if (bias) loadBiases(queue, biases, bias, outputs, phaseCount);
        source.clear(queue);
        return true;
      },
      run: partRunner(parts, source, { at: target, size: targetSize }, (queue, part) => {
        const group = part * batch;
        queue.call("image", group * groupStep.weights, group * groupStep.biases);
      }),
    };
  }

  /** States what all sums touch. */
  function stateExtents(f: Func): void {
    for (const { start, end } of layout.regions) f.writes(start, end - start);
  }

  /** The places of a sum's taps in a kernel, counted from the lowest, in the order of the source. */
  function tapsOf({ phases: [{ y, x }] }: GemmSum): number[] {
    const places = y.taps.flatMap(({ k: ky }) => x.taps.map(({ k }) => ky * KW + k));
    const lowest = Math.min(...places);
    return places.map((place) => place - lowest);
  }

  /** Writes what packs a sum's weights: whole panels of rows, or a panel of columns for some inputs. */
  function writePacking(assembly: Assembly, name: string, sum: GemmSum): void {
    if (!pass.gradient) {
      const f = assembly.func(name, ["i32", "i32", "i32", "i32", "i32"]);
      f.reads(rawWeights, rawBytes).writes(packedWeights, packedBytes + lanes * tileRow);
      return writeTransposed(f, vector, width);
    }
    const f = assembly.func(name, Array<"i32">(2 + width).fill("i32"));
    f.reads(rawWeights, rawBytes).writes(packedWeights, packedBytes).writes(nonFiniteFlag!, 16);
    const [to, count] = [0, 1], from = Array.from({ length: width }, (_, i) => 2 + i);
    const [values, notFinite] = f.locals("v128", 2);
    const offsets = tapsOf(sum).map((place) => place * bytes);
    f.const(nonFiniteFlag!).at("v128.load").set(notFinite);
    f.countDown(count, count, () => {
      for (const [i, offset] of offsets.entries()) {
        for (let half = 0; half < tileVectors(vector); half++) {
          f.get(from[half * lanes]).at(vector.loadSplat, offset).set(values);
          for (let lane = 1; lane < lanes; lane++) {
            f.get(from[half * lanes + lane]).get(values).laneAt(vector.loadLane, lane, offset);
            f.set(values);
          }
          noteFinite(f, vector, values, notFinite);
          f.get(to).get(values).at("v128.store", i * tileRow + half * 16);
        }
      }
      for (const pointer of from) f.advance(pointer, weights.input * bytes);
      f.advance(to, offsets.length * tileRow);
    });
    f.const(nonFiniteFlag!).get(notFinite).at("v128.store");
  }

  /** The calls that pack weights: a function's name and its arguments. */
  function listPackings(): [name: string, ...args: number[]][] {
    const list: [string, ...number[]][] = [];
    for (let group = 0; group < groups; group++) {
      for (const [i, sum] of sums.entries()) {
        if (sum.offsets.length === 0) continue;
        let to = packedWeights + group * groupStep.weights + sum.weightsBefore;
        let from = rawWeights + group * weights.group * bytes;
        for (const channels of pieces(sum.channels)) {
          const steps = channels * sum.offsets.length;
          if (!pass.gradient) {
            list.push([`pack${i}`, from, weights.output * bytes, to, sum.panels, steps]);
          }
          for (let panel = 0; pass.gradient && panel < sum.panels; panel++) {
            // Lanes after the last output are never used.
            const places = Array.from({ length: width }, (_, lane) => {
              const output = Math.min(sum.count - 1, panel * width + lane);
              const { y, x } = sum.phases[Math.floor(output / outputs)];
              const tap = y.taps[0].k * KW + x.taps[0].k - tapsOf(sum)[0];
              return from + ((output % outputs) * weights.output + tap) * bytes;
            });
            list.push([`pack${i}`, to + panel * steps * tileRow, channels, ...places]);
          }
          from += channels * weights.input * bytes;
          to += sum.panels * steps * tileRow;
        }
      }
    }
    return list;
  }

  return { layout, make };
}

/** Where each position of a block reads, strip by strip; those after the last one read as it does. */
function positionsOf(sum: GemmSum, bytes: number): Float32Array {
  const words = new Int32Array(sum.strips * TABLE_WORDS);
  const last = sum.blockRows * sum.columns - 1;
  const offset = (p: number) => {
    const place = Math.min(p, last);
    return sum.input.start + Math.floor(place / sum.columns) * sum.input.row +
      (place % sum.columns) * bytes;
  };
  for (let strip = 0; strip < sum.strips; strip++) {
    const places = Array.from({ length: STRIP }, (_, i) => offset(strip * STRIP + i));
    const neighbors = places.every((place, i) => place === places[0] + i * bytes);
    words.set([...places, neighbors ? 1 : 0], strip * TABLE_WORDS);
  }
  // A copy of the same bits.
  return new Float32Array(words.buffer);
}
