import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { mapKernels, normKernels } from "../../../kernels/operations.ts";
import { addPenalty } from "../../../kernels/maps/penalty.ts";
import { reluMask } from "../../../kernels/maps/relu.ts";
import { select } from "../../../kernels/select.ts";
import { inMemories } from "../../../kernels/simd/memory.ts";
import { setJobRunner } from "../../../kernels/simd/job.ts";
import { arrayInMemory, memoryOf, sharedBuffer } from "../../../kernels/simd/shared_copies.ts";
import { type DType, dtypeOf, type FloatArray, zerosOf } from "../../../kernels/tensor.ts";
import { Team } from "../../../kernels/threads/team.ts";
import { threadedRunner } from "../../../kernels/threads/run.ts";
import {
  batchnorm,
  conv,
  globalAverage,
  Net,
  RandomState,
  relu,
  residual,
  sequential,
  type Tensor,
  useKernels,
} from "../../../mod.ts";
import { groupByChannel, normalize, normalizeBackward } from "../../../nn/layers/norm_loops.ts";
import { assertSameBits } from "../../support/bits.ts";

/** Numbers around an array in its memory. */
const AROUND = 24;

type Kind = "own" | "shared" | "copied";

function viewOf(dtype: DType, buffer: ArrayBufferLike, length: number): FloatArray {
  return dtype === "float32"
    ? new Float32Array(buffer, 0, length)
    : new Float64Array(buffer, 0, length);
}

/** An array with NaN around it: a memory of its own, or not. */
function place(kind: Kind, values: FloatArray): FloatArray {
  const dtype = dtypeOf(values), length = values.length + 2 * AROUND;
  const all = kind === "own"
    ? arrayInMemory(dtype, length)!
    : kind === "shared"
    ? viewOf(dtype, sharedBuffer(length * values.BYTES_PER_ELEMENT)!, length)
    : zerosOf(dtype, length);
  all.fill(NaN);
  const array = all.subarray(AROUND, AROUND + values.length);
  array.set(values);
  return array;
}

/** Asserts that nothing was written around an array. */
function assertKept(array: FloatArray): void {
  const all = viewOf(dtypeOf(array), array.buffer, array.length + 2 * AROUND);
  const around = [...all.subarray(0, AROUND), ...all.subarray(AROUND + array.length)];
  assert(around.every(Number.isNaN), "what is around the array stays as it was");
}

/** Runs something on two workers beside this thread, every job that has parts. */
async function onThreads(run: () => void): Promise<void> {
  const team = await Team.start(3, 4096, 60_000);
  if (typeof team === "string") throw new Error(team);
  try {
    setJobRunner(threadedRunner(team, { job: 0, chunk: 0 }));
    run();
    assert(team.isOpen);
  } finally {
    setJobRunner();
    team.close();
  }
}

interface Case {
  readonly N: number;
  readonly C: number;
  readonly P: number;
  readonly relu: boolean;
  readonly seed: number;
}

const cases: fc.Arbitrary<Case> = fc.record({
  N: fc.integer({ min: 1, max: 5 }),
  C: fc.oneof(fc.integer({ min: 1, max: 7 }), fc.constant(300)),
  P: fc.oneof(fc.integer({ min: 2, max: 40 }), fc.constantFrom(63, 64, 257, 400)),
  relu: fc.boolean(),
  seed: fc.nat(1000),
});

/** Batch normalization of arrays of a kind, forward and backward, and what may change of them. */
function normalized({ N, C, P, relu, seed }: Case, kind: Kind, scale = 1) {
  const random = new RandomState(seed), shape = [N, C, 1, P];
  const values = (size: number[]) => random.randn(size, "float32").data;
  const [gamma, beta] = [[C], [C]].map((size) => ({ data: values(size), shape: size }));
  const make = () => place(kind, values(shape).map((value) => scale * (value + 1)));
  const x = { data: make(), shape }, dout = { data: make(), shape }, dx = { data: make(), shape };
  const layout = groupByChannel(N, C, P), { channels } = select(normKernels, { P }, "float32");
  const arrays = [x.data, dx.data, dout.data];
  assertEquals(channels?.serves(arrays), kind !== "copied");
  if (kind !== "copied" && scale === 1) {
    const table = () => new Float64Array(C),
      [by, plus] = [gamma, beta].map(({ data }) => Float64Array.from(data));
    const statistics = [table(), table(), table()] as const, out = make();
    assert(channels!.forward(x.data, by, plus, 1e-5, relu, out, statistics));
    const gradients = [table(), table()] as const, [mean, variance, inverseStd] = statistics;
    channels!.backward(x.data, dout.data, mean, inverseStd, by, N * P, dx.data, gradients);
    const [dgamma, dbeta] = gradients.map((table) => Float32Array.from(table));
    for (const array of [...arrays, out]) assertKept(array);
    // dx may be dout.
    channels!.backward(x.data, dout.data, mean, inverseStd, by, N * P, dout.data, gradients);
    assertSameBits(dout.data, dx.data);
    return { out, mean, variance, inverseStd, dgamma, dbeta, dx: dx.data };
  }
  const { out, variance, normalized } = normalize(layout, x, gamma, beta, 1e-5, undefined, relu);
  const { mean, inverseStd } = normalized;
  const gradients = normalizeBackward(layout, dout, normalized, dx);
  const [dgamma, dbeta] = [gradients.dgamma.data, gradients.dbeta.data];
  return { out: out.data, mean, variance, inverseStd, dgamma, dbeta, dx: dx.data };
}

describe("Arrays that are memories", () => {
  it("are used in place only if all of them are, and of one kind", () => {
    const array = (kind: Kind) => place(kind, new Float32Array(5));
    const kinds = ["own", "shared", "copied"] as const;
    assertEquals(kinds.map((kind) => inMemories([array(kind), array(kind)])), [
      "own",
      "shared",
      undefined,
    ]);
    assertEquals(inMemories([array("own"), array("shared")]), undefined);
    assertEquals(inMemories([array("own"), array("copied")]), undefined);
  });

  it("give maps the bits of copies, and nothing is written around them", async () => {
    const run = (dtype: DType, length: number, kind: Kind) =>
      [reluMask, addPenalty].map((map) => {
        const random = new RandomState(length);
        const arrays = map.map.arrays.map(() => place(kind, random.randn([length], dtype).data));
        const sums = select(mapKernels, map, dtype).run(arrays, [0.1]);
        for (const array of arrays) assertKept(array);
        return [sums, ...arrays.map((array) => array.slice())];
      });
    const compare = (kinds: readonly Kind[]) => {
      for (const dtype of ["float32", "float64"] as const) {
        for (const length of [1, 7, 8, 9, 100, 8192, 16_400, 30_001]) {
          const copied = run(dtype, length, "copied");
          for (const kind of kinds) assertSameBits(run(dtype, length, kind), copied);
        }
      }
    };
    compare(["own", "shared"]);
    await onThreads(() => compare(["shared"]));
  });

  it("give batch normalization the bits of copies, on any number of threads", async () => {
    const compare = (kinds: readonly Kind[], numRuns: number) =>
      fc.assert(
        fc.property(cases, (each) => {
          const copied = normalized(each, "copied");
          for (const kind of kinds) assertSameBits(normalized(each, kind), copied);
        }),
        { numRuns },
      );
    compare(["own", "shared"], 60);
    await onThreads(() => compare(["shared"], 20));
  });

  it("leave batch normalization of numbers whose squares are too large to copies", () => {
    const each: Case = { N: 3, C: 4, P: 30, relu: false, seed: 1 };
    const copied = normalized(each, "copied", 1e22);
    assert(copied.out.every(Number.isFinite) && copied.variance.every((v) => v > 1e42));
    assertSameBits(normalized(each, "own", 1e22), copied);
  });
});

describe("A net's iterations", () => {
  const block = sequential(conv(16, { bias: false }), batchnorm(), relu(), conv(16), batchnorm());
  const layers = [conv(16), batchnorm(), relu(), residual(block), relu(), globalAverage()];
  const x: Tensor<Float32Array> = new RandomState(2).randn([5, 3, 32, 32], "float32");
  const y = [1, 2, 3, 4, 5];
  const net = () =>
    new Net({ inputDim: [3, 32, 32], layers, dtype: "float32", random: new RandomState(1) });
  const results = (net: Net<"float32">) => {
    const { loss, grads } = net.loss(x, y);
    return { loss, ...Object.fromEntries(Object.entries(grads).map(([k, { data }]) => [k, data])) };
  };

  it("give the same bits, the first one with copies and the others in place", () => {
    const { memories, count } = watchMemories();
    try {
      const one = net(), first = results(one);
      assertEquals(count(), 0);
      const others = [1, 2, 3].map(() => results(one));
      assertNotEquals(count(), 0);
      const made = count();
      for (const other of others) assertSameBits(other, first);
      assertSameBits(results(one), first);
      assertEquals(count(), made, "memories are used again");
    } finally {
      memories[Symbol.dispose]();
    }
  });

  it("hand out gradients that can be sent to another thread", () => {
    const one = net();
    for (let i = 0; i < 4; i++) {
      for (const { data } of Object.values(one.loss(x, y).grads)) {
        assertEquals(memoryOf(data.buffer), undefined);
      }
    }
  });

  it("give what the naive loops give", () => {
    const one = net();
    for (let i = 0; i < 2; i++) results(one);
    const fast = results(one) as Record<string, Float32Array | number>;
    using _ = useKernels("naive");
    for (const [name, expected] of Object.entries(results(net()))) {
      const of = (value: Float32Array | number) => typeof value === "number" ? [value] : [...value];
      const [actual, exact] = [fast[name], expected].map(of);
      const most = Math.max(...exact.map(Math.abs), 1e-3);
      for (const [i, value] of actual.entries()) {
        assert(Math.abs(value - exact[i]) < 1e-4 * most, `${name}[${i}]: ${value}, ${exact[i]}`);
      }
    }
  });
});

/** Counts the memories that are made meanwhile. */
function watchMemories() {
  const { Memory } = WebAssembly;
  let made = 0;
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor);
      made++;
    }
  };
  const memories = { [Symbol.dispose]: () => void (WebAssembly.Memory = Memory) };
  return { memories, count: () => made };
}
