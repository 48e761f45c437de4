import { describe, it } from "@std/testing/bdd";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  affineBackward,
  affineForward,
  ArgumentTypeError,
  averagePoolBackward,
  averagePoolForward,
  convBackward,
  convForward,
  convTransposeBackward,
  convTransposeForward,
  type DType,
  explainConv,
  maxPoolBackward,
  maxPoolForward,
  prepareConv,
  RandomState,
  reluBackward,
  reluForward,
  sgdMomentum,
  spatialBatchnormBackward,
  spatialBatchnormForward,
  type Tensor,
  tensor,
  useArithmetic,
  useKernels,
  useThreads,
} from "../../../mod.ts";
import { addPenalty } from "../../../kernels/maps/penalty.ts";
import { bindAffine } from "../../../nn/layers/bound_kernel.ts";
import { type Job, type JobRunner, setJobRunner } from "../../../kernels/simd/job.ts";
import { Layout, reserve } from "../../../kernels/simd/memory.ts";
import type { FloatArray } from "../../../kernels/tensor.ts";
import { chunkSize, threadedRunner } from "../../../kernels/threads/run.ts";
import { Team } from "../../../kernels/threads/team.ts";
import { CONTROL } from "../../../kernels/threads/worker.ts";
import { runMap } from "../../../nn/layers/run_map.ts";
import { assertSameBits } from "../../support/bits.ts";
import { reportTraining, TRAINING_HASH } from "../../support/reproducible.ts";
import * as lib from "../../../mod.ts";

type Draw = (...shape: number[]) => Tensor;
type Results = readonly (Tensor | null)[];

/** Layers with enough to do for several threads, forward and backward. */
const layers: Readonly<Record<string, (draw: Draw) => Results>> = {
  "a convolution by Winograd's algorithm"(draw) {
    const x = draw(37, 16, 16, 16), w = draw(16, 16, 3, 3), b = draw(16);
    const { out, cache } = convForward(x, w, b, { pad: 1 });
    const { dx, dw, db } = convBackward(draw(...out.shape), cache);
    return [out, dx, dw, db];
  },
  "a strided convolution"(draw) {
    const x = draw(50, 3, 31, 31), w = draw(25, 3, 3, 3);
    const { out, cache } = convForward(x, w, null, { stride: 2, pad: 1 });
    const { dx, dw } = convBackward(draw(...out.shape), cache);
    return [out, dx, dw];
  },
  "a grouped, dilated convolution"(draw) {
    const x = draw(33, 8, 15, 15), w = draw(12, 4, 3, 3), b = draw(12);
    const { out, cache } = convForward(x, w, b, { pad: 2, dilation: 2, groups: 2 });
    const { dx, dw, db } = convBackward(draw(...out.shape), cache);
    return [out, dx, dw, db];
  },
  "convolutions that read prepared weights in place"(draw) {
    const x = draw(24, 64, 12, 12), w = draw(64, 64, 3, 3), b = draw(64);
    return [1, 2].flatMap((stride) => {
      const prepared = prepareConv(x.shape, w, b, { pad: 1, stride });
      return [prepared.forward(x), prepared.forward(x)];
    });
  },
  "fully-connected layers of few rows that read prepared weights in place"(draw) {
    const w = draw(700, 900), bias = draw(900).data;
    const { run } = bindAffine({ D: 700, M: 900 }, w.data, { bias });
    return [4, 7].map((N) => run(draw(N, 700)));
  },
  "a depthwise convolution"(draw) {
    const x = draw(30, 16, 20, 20), w = draw(16, 1, 3, 3), b = draw(16);
    const { out, cache } = convForward(x, w, b, { pad: 1, groups: 16 });
    const { dx, dw, db } = convBackward(draw(...out.shape), cache);
    return [out, dx, dw, db];
  },
  "a transposed convolution"(draw) {
    const x = draw(30, 8, 9, 9), w = draw(8, 6, 4, 4), b = draw(6);
    const { out, cache } = convTransposeForward(x, w, b, { stride: 2, pad: 1 });
    const { dx, dw, db } = convTransposeBackward(draw(...out.shape), cache);
    return [out, dx, dw, db];
  },
  "a convolution of many channels on a narrow map"(draw) {
    const x = draw(40, 48, 7, 7), w = draw(32, 48, 3, 3), b = draw(32);
    const { out, cache } = convForward(x, w, b, { pad: 1 });
    const { dx, dw, db } = convBackward(draw(...out.shape), cache);
    return [out, dx, dw, db];
  },
  "a 1x1 convolution"(draw) {
    const x = draw(24, 32, 14, 14), w = draw(64, 32, 1, 1), b = draw(64);
    const { out, cache } = convForward(x, w, b, { stride: 2 });
    const { dx, dw, db } = convBackward(draw(...out.shape), cache);
    return [out, dx, dw, db];
  },
  "a fully-connected layer"(draw) {
    const { out, cache } = affineForward(draw(200, 300), draw(300, 170), draw(170));
    const { dx, dw, db } = affineBackward(draw(...out.shape), cache);
    return [out, dx, dw, db];
  },
  "batch normalization"(draw) {
    const gamma = draw(16), beta = draw(16);
    const x = draw(40, 16, 13, 13);
    const { out, cache } = spatialBatchnormForward(x, gamma, beta, { mode: "train" });
    const { dx, dgamma, dbeta } = spatialBatchnormBackward(draw(...out.shape), cache);
    return [out, dx, dgamma, dbeta];
  },
  "a relu"(draw) {
    const { out, cache } = reluForward(draw(100, 2000));
    return [out, reluBackward(draw(...out.shape), cache)];
  },
  "a max-pool"(draw) {
    const x = draw(40, 8, 24, 24);
    const { out, cache } = maxPoolForward(x, { poolHeight: 3, poolWidth: 3, stride: 2, pad: 1 });
    return [out, maxPoolBackward(draw(...out.shape), cache)];
  },
  "an average pool"(draw) {
    const x = draw(40, 8, 24, 24);
    const { out, cache } = averagePoolForward(x, { poolHeight: 3, poolWidth: 3, stride: 2 });
    return [out, averagePoolBackward(draw(...out.shape), cache)];
  },
};

/** Runs every layer on numbers drawn anew. */
function runAll(dtype: DType): ReadonlyMap<string, Results> {
  const results = new Map<string, Results>();
  for (const [name, run] of Object.entries(layers)) {
    const random = new RandomState(231);
    results.set(name, run((...shape) => random.randn(shape, dtype)));
  }
  return results;
}

function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** This thread and a worker. */
async function start(patience: number): Promise<Team> {
  const team = await Team.start(2, 4096, patience);
  if (typeof team === "string") throw new Error(team);
  return team;
}

describe("threads", () => {
  for (const dtype of ["float32", "float64"] as const) {
    it(`give the bits of one thread, however many they are, ${dtype}`, async () => {
      const expected = runAll(dtype);
      for (const count of [1, 2, 3, 5, 16]) {
        using threads = await useThreads(count);
        assertEquals(threads.count, count, threads.reason);
        for (const [name, results] of runAll(dtype)) {
          for (const [i, result] of results.entries()) {
            const what = `result ${i} of ${name} on ${count} threads`;
            const isLarge = count > 1 && result!.data.byteLength >= 1 << 14;
            assertEquals(result!.data.buffer instanceof SharedArrayBuffer, isLarge, what);
            assert(indexOfDifference(bytesOf(result!), bytesOf(expected.get(name)![i]!)) < 0, what);
          }
        }
      }
    });
  }

  it("give the bits of one thread where the smallest jobs are cut", async () => {
    const run = () => {
      const random = new RandomState(3);
      const draw = (...shape: number[]) => random.randn(shape, "float32");
      const { out, cache } = convForward(draw(5, 3, 9, 9), draw(4, 3, 3, 3), draw(4), { pad: 1 });
      const { dx, dw, db } = convBackward(draw(...out.shape), cache);
      const pooled = maxPoolForward(out, { poolHeight: 2, poolWidth: 2, stride: 2 });
      const many = reluForward(draw(3, 9000));
      const normed = spatialBatchnormForward(out, draw(4), draw(4), { mode: "train" });
      const { nextW } = sgdMomentum(draw(2, 9000), draw(2, 9000), {});
      const w = draw(2, 9000), penalized = draw(2, 9000);
      const squares = tensor(runMap(addPenalty, [w, penalized], [0.1]), [1]);
      return [out, dx, dw, db, pooled.out, many.out, normed.out, nextW, penalized, squares];
    };
    const expected = run(), team = await start(1000);
    let cut = 0;
    const runner = threadedRunner(team, { job: 0, chunk: 0 });
    setJobRunner((job, count) => {
      if (chunkSize(job, count, 2, { job: 0, chunk: 0 }) < count) cut++;
      return runner(job, count);
    });
    try {
      assertSameBits(run(), expected);
    } finally {
      setJobRunner();
      team.close();
    }
    assert(cut >= 4, `${cut} jobs were cut`);
  });

  describe("begin a job while it is still being written", () => {
    const layout = new Layout(), at = layout.region("a number", 8);
    const shared = (length: number, value = -1) =>
      new Float64Array(new SharedArrayBuffer(8 * length)).fill(value);
    const counted = (array: FloatArray) => (array.forEach((_, i) => array[i] = i), array);
    /** Copies numbers one by one: what each comes from, and goes to. */
    const copying = (numbers: (i: number) => readonly [from: FloatArray, to: FloatArray]): Job => ({
      cost: 1,
      prepare: () => true,
      run(queue, first, end) {
        for (let i = first; i < end; i++) {
          const [from, to] = numbers(i), place = i % from.length;
          queue.load(at, from, place, place + 1);
          queue.store(to, place, 1, at);
        }
        return end;
      },
    });
    /** Runs jobs on two threads, cut however small they are. */
    async function inTwo(run: (runJob: JobRunner) => void): Promise<void> {
      assertEquals(reserve(layout.size), undefined);
      const team = await start(1000);
      try {
        run(threadedRunner(team, { job: 0, chunk: 0 }));
        assert(team.isOpen);
      } finally {
        team.close();
      }
    }

    it("and do the rest here if there is no room for it", async () => {
      const N = 80_000;
      for (const make of [shared, (length: number) => new Float64Array(length)]) {
        const from = counted(make(N)), to = make(N);
        await inTwo((run) => assertEquals(run(copying(() => [from, to]), N), N));
        assertSameBits(to, from);
      }
    });

    it("and do what others do not know yet here", async () => {
      const froms = Array.from({ length: 64 }, (_, i) => shared(1, i));
      const tos = froms.map(() => shared(1));
      const job = copying((i) => [froms[i], tos[i]]);
      await inTwo((run) => {
        for (let turn = 0; turn < 3; turn++) {
          for (const to of tos) to.fill(-1);
          assertEquals(run(job, froms.length), froms.length);
          assertSameBits(tos, froms);
        }
      });
    });

    it("and let go of each other if it cannot be", async () => {
      const N = 64, from = counted(shared(N)), to = shared(N), job = copying(() => [from, to]);
      const failing = copying((i) => {
        if (i >= N / 2) throw new Error("not this one");
        return [from, to];
      });
      await inTwo((run) => {
        for (let turn = 0; turn < 100; turn++) {
          assertThrows(() => run(failing, N), Error, "not this one");
          to.fill(-1);
          assertEquals(run(job, N), N);
          assertSameBits(to, from);
        }
      });
    });
  });

  it("are not woken for what takes less than waking them", () => {
    const job = {
      cost: 100,
      prepare: () => true,
      run: (_: unknown, __: number, end: number) => end,
    };
    assertEquals([chunkSize(job, 500, 2), chunkSize(job, 1000, 2)], [500, 200]);
    // Four chunks a thread, of whole groups of parts; fewer where each call has work of its own.
    assertEquals(chunkSize({ ...job, together: 64 }, 16_000, 4), 1024);
    assertEquals(chunkSize({ ...job, callCost: 40_000 }, 16_000, 2), 8000);
  });

  it("give a whole training run the same bits", async () => {
    using _ = await useThreads(3);
    assertEquals((await reportTraining(lib)).hash, TRAINING_HASH);
  });

  it("take inputs from memory that is not shared, and views of others", async () => {
    const random = new RandomState(1);
    const whole = random.randn([20, 8, 20, 20]).data;
    const x = tensor(whole.subarray(8 * 400), [19, 8, 20, 20]), w = random.randn([8, 8, 3, 3]);
    const alone = convForward(x, w, null, { pad: 1 });
    using _ = await useThreads(2);
    const together = convForward(x, w, null, { pad: 1 });
    assertEquals(together.out.data.join(), alone.out.data.join());
  });

  it("leave images with infinite values to the definition, as one thread does", async () => {
    const random = new RandomState(1);
    const x = random.randn([30, 8, 16, 16], "float32"), w = random.randn([8, 8, 3, 3], "float32");
    x.data[17 * 8 * 256 + 40] = Infinity;
    const alone = convForward(x, w, null, { pad: 1 });
    const pooled = maxPoolForward(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
    x.data[9 * 8 * 256 + 1] = NaN;
    const dx = maxPoolBackward(pooled.out, pooled.cache);
    using _ = await useThreads(2);
    const again = maxPoolBackward(pooled.out, pooled.cache);
    assertEquals(again.data.join(), dx.data.join());
    x.data[9 * 8 * 256 + 1] = 0;
    const together = convForward(x, w, null, { pad: 1 });
    assertEquals(alone.out.data.subarray(9 * 8 * 256, 18 * 8 * 256).some(Number.isNaN), false);
    assertEquals(
      together.out.data.slice(10 * 8 * 256).join(),
      alone.out.data.slice(10 * 8 * 256).join(),
    );
  });

  it("do not change what other tiers and arithmetics give", async () => {
    const random = new RandomState(1);
    const x = random.randn([8, 8, 16, 16]), w = random.randn([8, 8, 3, 3]);
    for (const kernels of ["generated", "naive"] as const) {
      using _ = useKernels(kernels);
      const alone = convForward(x, w, null, { pad: 1 });
      using threads = await useThreads(2);
      assertEquals(threads.count, 2);
      assertEquals(convForward(x, w, null, { pad: 1 }).out.data.join(), alone.out.data.join());
    }
    using _ = useArithmetic("reproducible");
    const alone = convForward(x, w, null, { pad: 1 });
    using __ = await useThreads(2);
    assertEquals(convForward(x, w, null, { pad: 1 }).out.data.join(), alone.out.data.join());
  });

  it("end when they are disposed of, and tensors stay", async () => {
    const random = new RandomState(1);
    let out: Tensor;
    {
      using _ = await useThreads(2);
      out =
        convForward(random.randn([8, 8, 16, 16]), random.randn([8, 8, 3, 3]), null, { pad: 1 }).out;
      assertStringIncludes(
        explainConv([8, 8, 16, 16], [8, 8, 3, 3], { pad: 1 }).reason,
        "2 threads",
      );
    }
    assert(out.data.some((value) => value !== 0));
    const { reason } = explainConv([8, 8, 16, 16], [8, 8, 3, 3], { pad: 1 });
    assertEquals(reason.includes("threads"), false);
    const alone = convForward(random.randn([8, 8, 16, 16]), random.randn([8, 8, 3, 3]), null);
    assertEquals(alone.out.data.buffer instanceof SharedArrayBuffer, false);
  });

  it("need no permission, and let a program end that does not dispose of them", async () => {
    const mod = new URL("../../../mod.ts", import.meta.url).href;
    const program = `
      import { convForward, full, useThreads } from "${mod}";
      const { count } = await useThreads(2);
      const { out } = convForward(full([20, 8, 32, 32], 1), full([8, 8, 3, 3], 1), null, { pad: 1 });
      console.log(count, out.data[500]);
    `;
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--no-check",
        `data:text/javascript,${encodeURIComponent(program)}`,
      ],
      signal: AbortSignal.timeout(60_000),
    }).output();
    assertEquals([code, new TextDecoder().decode(stdout)], [0, "2 72\n"]);
  });

  it("refuse counts that are none", async () => {
    await assertRejects(() => useThreads(0), RangeError, "from 1 to 256: received 0");
    await assertRejects(() => useThreads(1.5), RangeError, "received 1.5");
    await assertRejects(
      () => useThreads("two" as unknown as number),
      TypeError,
      "must be a number",
    );
    await assertRejects(() => useThreads(2, { patience: 0 }), RangeError, "must be positive");
    const unknown = { patient: 1 } as { patience?: number };
    const error = await assertRejects(() => useThreads(2, unknown), TypeError, '"patient"');
    assertEquals((error as ArgumentTypeError).code, "UNKNOWN_OPTION");
    await assertRejects(() => useThreads(1, 5 as never), TypeError, "must be an object of options");
  });

  it("fail a call whose worker throws, with its reason", async () => {
    const team = await start(1000);
    // A chunk of a command that there is none of; this thread waits until the worker has taken it.
    team.stream.set([3, 4, 5, 99, 99]);
    const words = new Int32Array(team.control);
    assertThrows(
      () =>
        team.run(2, () => {
          while (Atomics.load(words, CONTROL.failed) === 0);
          return -1;
        }),
      Error,
      "Worker thread 1 failed: Error: Command 99",
    );
    assertEquals(team.isOpen, false);
  });
});

/** Where two arrays differ first, or -1. */
function indexOfDifference(a: Uint8Array, b: Uint8Array): number {
  return a.length === b.length ? a.findIndex((byte, i) => byte !== b[i]) : 0;
}
