/**
 * Sums of taps as the pass says: the forward pass of a convolution, and the gradient of its input, which
 * is a transposed convolution's forward pass.
 *
 * Groups are run one after the other by the same code, a few of them at a time in the memory.
 *
 * @module
 */

import type { Epilogue } from "../epilogue.ts";
import type { Pass } from "../passes.ts";
import type { FloatArray } from "../tensor.ts";
import { Assembly, type Func } from "./assembler.ts";
import { directCost, nanosecondsOf } from "./costs.ts";
import { type TapConv, writeConv } from "./emit_conv.ts";
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
import type { Schedule } from "./schedule.ts";
import { convTiles } from "./tiles.ts";
import type { Vector } from "./vector.ts";
import { eachOutput, writePacking } from "./weights.ts";

/** Plans a pass. */
export function planDirect(
  pass: Pass,
  vector: Vector,
  fused: boolean,
  schedule: Schedule,
): Plan<ImageProgram> {
  const { rows, columns, groups, inputs, outputs, weights } = pass;
  const { bytes } = vector;
  const layout = new Layout();
  const batch = groupBatch(pass, vector);
  const parts = groups / batch;
  const walk = { rows, columns, groups: batch, inputs, outputs };
  const passLayout = layoutPass(layout, vector, walk);
  const { source, target, sums, phaseCount, tapStep, step } = passLayout;
  const KW = columns.taps.length;
  const rawWeights = layout.region("weights", groups * weights.group * bytes);
  const packedWeights = layout.region("packed weights", groups * weights.group * bytes);
  const biases = layout.region("biases", groups * outputs * phaseCount * bytes);
  const nonFiniteFlag = pass.gradient ? layout.region("non-finite flag", 16) : undefined;
  const groupStep = { weights: weights.group * bytes, biases: outputs * phaseCount * bytes };

  /** The convolution of a sum; its weights from 0, those of the sums before first in each group. */
  function convOf(sum: PhaseSum, weightsBefore: number): TapConv {
    const { y, x } = sum.phases[0];
    const unrolled = y.taps.length * x.taps.length <= schedule.unrolledTaps;
    return {
      vector,
      fused,
      channels: inputs,
      tiles: convTiles(sum.count, sum.rows, sum.columns, vector, schedule.tile),
      input: sum.input,
      output: sum.output,
      taps: unrolled
        ? y.taps.flatMap((_, ky) => sum.taps.map((tap) => ky * sum.tapRow + tap))
        : sum.taps,
      tapRows: { times: unrolled ? 1 : y.taps.length, step: sum.tapRow },
      weights: weightsBefore,
      moved: {
        input: (batch - 1) * step.source,
        output: (batch - 1) * step.sums,
        weights: (groups - 1) * groupStep.weights,
        bias: (groups - 1) * groupStep.biases,
      },
    };
  }
  let weightsBefore = 0;
  const convs = sums.map((sum) => {
    const conv = convOf(sum, weightsBefore);
    weightsBefore += sum.count * inputs * conv.taps.length * conv.tapRows.times * bytes;
    return conv;
  });

  /** Writes the sums of what is held, group by group; parameters say where weights and biases are. */
  function writeSums(
    assembly: Assembly,
    image: Func,
    { bias, relu = false }: Epilogue,
    { start, memory }: PackedWeights,
  ): void {
    const funcs = convs.map((conv, i) =>
      writeConv(assembly, `sums${i}-`, {
        ...conv,
        weights: start + conv.weights,
        weightsMemory: memory,
        bias: bias && biases + sums[i].before * bytes,
        relu,
      })
    );
    writeGroups(assembly, image, batch, funcs, passLayout, groupStep);
  }

  function make(epilogue: Epilogue, inPlace = false): ImageProgram {
    const assembly = new Assembly();
    const packed = new PackedWeights(vector, packedWeights, groups * weights.group, inPlace);
    const pad = assembly.func("pad");
    source.write(pad);
    const image = assembly.func("image", ["i32", "i32"]).call(pad);
    writeSums(assembly, image, epilogue, packed);
    const steps = { input: weights.input, row: tapStep.row * KW, column: tapStep.column };
    writePacking(assembly, vector, inputs, steps, nonFiniteFlag)
      .reads(rawWeights, groups * groupStep.weights)
      .writes(packedWeights, weightsBefore + (groups - 1) * groupStep.weights);
    const module = compile(assembly, layout, packed.layout);

    const targetSize = batch * outputs * rows.target.size * columns.target.size;

    /** The calls that pack a group's weights, in the order in which the inner loops read them. */
    const packings: [from: number, to: number, step: number, rows: number, columns: number][] = [];
    for (const [i, { phases }] of sums.entries()) {
      const [{ y: { taps: tapRows }, x: { taps: tapColumns } }] = phases;
      if (tapRows.length * tapColumns.length === 0) continue;
      const numbers = inputs * tapRows.length * tapColumns.length;
      eachOutput(convs[i].tiles, numbers, (output, at, block) => {
        const { y, x } = phases[Math.floor(output / outputs)];
        const first = (output % outputs) * weights.output + y.taps[0].k * KW + x.taps[0].k;
        const from = rawWeights + first * bytes, to = packedWeights + convs[i].weights + at * bytes;
        packings.push([from, to, block * bytes, tapRows.length, tapColumns.length]);
      });
    }

    /** Packs weights; returns whether they serve. */
    function pack(queue: Queue, w: FloatArray): boolean {
      queue.load(rawWeights, w, 0, w.length);
      if (nonFiniteFlag) queue.clear(nonFiniteFlag, 16);
      for (let group = 0; group < groups; group++) {
        const moved = group * groupStep.weights;
        for (const [from, to, step, rows, columns] of packings) {
          queue.call("pack", from + moved, to + moved, step, rows, columns);
        }
      }
      // The padding's zeros times infinity would be NaN, where the definition has no term.
      return nonFiniteFlag === undefined || !queue.isSet(nonFiniteFlag, 0);
    }

    return {
      cost: nanosecondsOf(directCost(pass, vector)),
      packed,
      prepare(queue, w, { bias }, given) {
        if (!packed.use(queue, module, given) && !pack(queue, w)) return false;
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
  return { layout, make };
}
