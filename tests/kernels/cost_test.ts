import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import {
  adam,
  affineBackward,
  affineForward,
  batchnormForward,
  convBackward,
  convForward,
  ConvNet,
  type DType,
  FullyConnectedNet,
  maxPoolBackward,
  maxPoolForward,
  RandomState,
  reluBackward,
  reluForward,
  type Tensor,
  ThreeLayerConvNet,
  useArithmetic,
  warmConv,
} from "../../mod.ts";
import { dump } from "../../kernels/simd/dump.ts";
import { features } from "../../kernels/simd/features.ts";
import { convTiles, weightTiles } from "../../kernels/simd/tiles.ts";
import { watchArrays, watchWasm } from "../support/watch.ts";

// What this host can do is found out before anything is counted.
const { fused } = features();
const dtypes: readonly DType[] = ["float32", "float64"];
const random = new RandomState(7);

/** A tensor whose type does not say its dtype. */
const randn = (shape: readonly number[], dtype: DType): Tensor => random.randn(shape, dtype);

/** The operands of a convolution. No other test of this file has one of the same sizes. */
function conv(xShape: readonly number[], wShape: readonly number[], dtype: DType) {
  return [randn(xShape, dtype), randn(wShape, dtype), randn([wShape[0]], dtype)] as const;
}

/** Shapes of each kind of schedule, by the number of columns, so that each test has its own. */
const schedules = (W: number) =>
  [
    ["direct", [2, 5, 9, W], [7, 5, 3, 3], { pad: 1 }],
    ["strided", [2, 5, 9, W], [7, 5, 3, 3], { pad: 1, stride: 2 }],
    ["Winograd", [2, 16, 18, W], [16, 16, 3, 3], { pad: 1 }],
    ["pointwise", [2, 5, 9, W], [7, 5, 1, 1], {}],
  ] as const;

/** How many modules a call compiles. */
const compiled = (run: () => void) => watchWasm(run).modules.length;

describe("A layer compiles each pass once, when it first runs", () => {
  for (const dtype of dtypes) {
    for (const [kind, xShape, wShape, params] of schedules(23)) {
      it(`a ${kind} convolution, ${dtype}`, () => {
        const [x, w, b] = conv(xShape, wShape, dtype);
        const forward = () => convForward<Tensor["data"]>(x, w, b, params);
        let pass = forward();
        assertEquals(compiled(() => pass = forward()), 0);
        const weights = () => convBackward<Tensor["data"]>(pass.out, pass.cache, { dx: false });
        const both = () => convBackward<Tensor["data"]>(pass.out, pass.cache);
        assertEquals([compiled(weights), compiled(weights)], [1, 0]);
        // A dx that nobody asked for is not even compiled.
        assertEquals([compiled(both), compiled(both)], [1, 0]);
        const other = randn([5, ...xShape.slice(1)], dtype);
        assertEquals(compiled(() => convForward<Tensor["data"]>(other, w, b, params)), 0);
      });
    }

    it(`a forward pass compiles one module, ${dtype}`, () => {
      for (const [kind, xShape, wShape, params] of schedules(25)) {
        const [x, w, b] = conv(xShape, wShape, dtype);
        assertEquals(compiled(() => convForward<Tensor["data"]>(x, w, b, params)), 1, kind);
      }
    });

    it(`a max-pool, ${dtype}`, () => {
      const x = randn([2, 3, 12, 27], dtype);
      const poolParam = { poolHeight: 2, poolWidth: 2, stride: 2 };
      const forward = () => maxPoolForward<Tensor["data"]>(x, poolParam);
      assertEquals([compiled(forward), compiled(forward)], [1, 0]);
      const { out, cache } = forward();
      const backward = () => maxPoolBackward<Tensor["data"]>(out, cache);
      assertEquals([compiled(backward), compiled(backward)], [1, 0]);
    });

    it(`fully-connected layers of all sizes have one module, ${dtype}`, () => {
      const layer = (N: number, D: number, M: number) => () => {
        const [x, w, b] = [randn([N, D], dtype), randn([D, M], dtype), randn([M], dtype)];
        const { out, cache } = affineForward<Tensor["data"]>(x, w, b);
        affineBackward<Tensor["data"]>(out, cache);
      };
      assert(compiled(layer(3, 5, 7)) <= 1);
      assertEquals([compiled(layer(4, 50, 6)), compiled(layer(1, 1, 1))], [0, 0]);
    });

    it(`a net compiles nothing at its second step, ${dtype}`, () => {
      const net = new ThreeLayerConvNet({ inputDim: [3, 10, 14], batchnorm: true, dtype });
      const x = randn([4, 3, 10, 14], dtype);
      const step = () => {
        net.loss(x, [0, 1, 2, 3]);
        net.loss(x);
      };
      assert(compiled(step) > 0);
      assertEquals(compiled(step), 0);
    });
  }
});

describe("Fused multiply-add", () => {
  /** (v128 v128 v128) -> dropped, by the instruction with this number. */
  function hostHas(opcode: number): boolean {
    const vector = [0xfd, 12, ...Array(16).fill(0)];
    const body = [0, ...vector, ...vector, ...vector, 0xfd, opcode & 0x7f | 0x80, opcode >> 7];
    const code = [...body, 0x1a, 0x0b];
    const module = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0];
    const bytes = Uint8Array.of(...module, 10, code.length + 2, 1, code.length, ...code);
    return WebAssembly.validate(bytes);
  }

  it("is found where the host has it", () => {
    assertEquals(fused, hostHas(0x105) && hostHas(0x107));
  });

  /** Counts instructions of a type's arithmetic in modules. */
  const count = (codes: readonly Uint8Array<ArrayBuffer>[], instruction: RegExp) =>
    codes.reduce((sum, code) => sum + [...dump(code).matchAll(instruction)].length, 0);

  for (const dtype of dtypes) {
    const type = dtype === "float32" ? "f32x4" : "f64x2";
    const madd = new RegExp(`${type}.relaxed_madd`, "g"), anyMadd = /relaxed/g;
    const sums = new RegExp(`${type}\\.(relaxed_madd|mul)`, "g");

    it(`is what sums are made of, in every pass and schedule, ${dtype}`, () => {
      for (const [kind, xShape, wShape, params] of schedules(29)) {
        const [x, w, b] = conv(xShape, wShape, dtype);
        const forward = () => convForward<Tensor["data"]>(x, w, b, params);
        const passes = {
          forward,
          dw: () => convBackward<Tensor["data"]>(forward().out, forward().cache, { dx: false }),
          dx: () => convBackward<Tensor["data"]>(forward().out, forward().cache),
        };
        for (const [name, run] of Object.entries(passes)) {
          const { codes } = watchWasm(run);
          assertEquals(codes.length, 1);
          const [fusedSums, all] = [count(codes, madd), count(codes, sums)];
          if (fused) assert(fusedSums > 0.8 * all, `${kind} ${name}: ${fusedSums} of ${all}`);
          else assertEquals(fusedSums, 0);
        }
      }
    });

    it(`is left out where arithmetic must be reproducible, ${dtype}`, () => {
      using _ = useArithmetic("reproducible");
      for (const [kind, xShape, wShape, params] of schedules(31)) {
        const [x, w, b] = conv(xShape, wShape, dtype);
        const { codes } = watchWasm(() => {
          const { out, cache } = convForward<Tensor["data"]>(x, w, b, params);
          convBackward<Tensor["data"]>(out, cache);
        });
        assertEquals([codes.length, count(codes, anyMadd)], [3, 0], kind);
        assert(count(codes, sums) > 0);
      }
    });
  }
});

describe("Schedules", () => {
  const sizes = (runs: readonly { size: number; times: number }[]) =>
    runs.map(({ size, times }) => `${times} of ${size}`).join(", ");

  it("of convolutions take five filters at a time, and a rest that fills the multipliers", () => {
    const blocks = (F: number) => sizes(convTiles(F, 32, 32, { lanes: 4, pairs: false }));
    assertEquals(blocks(32), "6 of 5, 1 of 2");
    assertEquals(blocks(64), "12 of 5, 1 of 4");
    assertEquals(blocks(5), "1 of 5");
    // No filter is alone but the only one.
    assertEquals(blocks(16), "2 of 5, 2 of 3");
    assertEquals(blocks(6), "2 of 3");
    assertEquals(blocks(1), "1 of 1");
  });

  it("of convolutions keep 8 to 15 sums in registers where a map is wide", () => {
    for (const lanes of [2, 4]) {
      const vectors = [1, 2, 3, 4, 5].map((F) => {
        const [{ rows: [{ rows, tiles: [{ columns }] }] }] = convTiles(F, 32, 32, {
          lanes,
          pairs: false,
        });
        return rows * columns.length;
      });
      assertEquals(vectors, [8, 4, 3, 2, 2]);
    }
  });

  it("of convolutions cover every output once, or again at a row's end", () => {
    for (const [rows, columns] of [[1, 100], [7, 7], [3, 3], [28, 28], [2, 1]]) {
      for (const lanes of [2, 4]) {
        for (const block of convTiles(7, rows, columns, { lanes, pairs: false })) {
          const covered = new Set<number>();
          let y = 0;
          for (const { rows: height, times, tiles } of block.rows) {
            for (const { columns: starts, times: along } of tiles) {
              for (let i = 0; i < along; i++) {
                for (const start of starts) {
                  const from = start + i * starts.length * lanes;
                  for (let lane = 0; lane < lanes; lane++) covered.add(from + lane);
                }
              }
            }
            y += height * times;
          }
          assertEquals(y, rows);
          assertEquals(covered.size, Math.max(columns, lanes));
        }
      }
    }
  });

  it("of weight gradients share the loads of three taps, or five", () => {
    const tiles = (K: number, shifted = true) => {
      const row = (y: number) => Array.from({ length: K }, (_, x) => 100 * y + 4 * x);
      const offsets = Array.from({ length: K }, (_, y) => row(y));
      const { blocks, channels, tapRows } = weightTiles(32, 16, offsets, 1000, shifted);
      return [sizes(blocks), channels[0].groups.map(({ length }) => length), tapRows.times];
    };
    assertEquals(tiles(1), ["10 of 3, 1 of 2", [3], 1]);
    assertEquals(tiles(3), ["10 of 3, 1 of 2", [3], 3]);
    assertEquals(tiles(5), ["16 of 2", [5], 5]);
    assertEquals(tiles(7), ["16 of 2", [4, 3], 7]);
  });

  it("are what the assembled code is made of", () => {
    const [x, w, b] = conv([1, 3, 21, 33], [32, 3, 3, 3], "float32");
    const { modules } = watchWasm(() => convForward<Tensor["data"]>(x, w, b, { pad: 1 }));
    const names = WebAssembly.Module.exports(modules[0]).map(({ name }) => name);
    assertEquals(names.filter((name) => /^sums0-\d/.test(name)), ["sums0-5", "sums0-2"]);
  });
});

describe("warmConv()", () => {
  for (const dtype of dtypes) {
    it(`compiles and runs every pass, and leaves nothing to compile, ${dtype}`, () => {
      for (const [kind, xShape, wShape, params] of schedules(35)) {
        const { modules, calls } = watchWasm(() => warmConv(xShape, wShape, params, dtype));
        assertEquals(modules.length, 4, kind);
        const [x, w, b] = conv(xShape, wShape, dtype);
        const once = watchWasm(() => {
          const { out, cache } = convForward<Tensor["data"]>(x, w, b, params);
          convBackward<Tensor["data"]>(out, cache);
        });
        assertEquals(once.modules.length, 0, kind);
        // Each pass more than once: engines replace code by better code when it is called again.
        assert(calls > once.calls, `${kind}: ${calls} calls, ${once.calls} in one step`);
      }
    });
  }
});

describe("A call makes no array but its results", () => {
  const bytes = (...tensors: readonly Tensor[]) =>
    tensors.map(({ data }) => data.byteLength).sort((a, b) => b - a);

  for (const dtype of dtypes) {
    it(`convolutions, ${dtype}`, () => {
      for (const [kind, xShape, wShape, params] of schedules(37)) {
        const [x, w, b] = conv(xShape, wShape, dtype);
        const forward = () => convForward<Tensor["data"]>(x, w, b, params);
        const { out, cache } = forward();
        const both = () => convBackward<Tensor["data"]>(out, cache);
        const weights = () => convBackward<Tensor["data"]>(out, cache, { dx: false });
        both();
        assertEquals(watchArrays(forward), bytes(out), kind);
        assertEquals(watchArrays(both), bytes(x, w, b), kind);
        assertEquals(watchArrays(weights), bytes(w, b), kind);
      }
    });

    it(`max-pools, ${dtype}`, () => {
      const x = randn([2, 3, 12, 39], dtype);
      const forward = () =>
        maxPoolForward<Tensor["data"]>(x, { poolHeight: 3, poolWidth: 3, stride: 2 });
      const { out, cache } = forward();
      const backward = () => maxPoolBackward<Tensor["data"]>(out, cache);
      backward();
      assertEquals(watchArrays(forward), bytes(out));
      assertEquals(watchArrays(backward), bytes(x));
    });

    it(`fully-connected layers and relu, ${dtype}`, () => {
      const [x, w, b] = [randn([7, 90], dtype), randn([90, 8], dtype), randn([8], dtype)];
      const { out, cache } = affineForward<Tensor["data"]>(x, w, b);
      assertEquals(watchArrays(() => affineForward<Tensor["data"]>(x, w, b)), bytes(out));
      const backward = (dx: boolean) => () => affineBackward<Tensor["data"]>(out, cache, { dx });
      // The sums for db are in float64.
      const large = (made: number[]) => made.filter((size) => size > 8 * out.data.length / 7);
      assertEquals(large(watchArrays(backward(true))), bytes(x, w));
      assertEquals(large(watchArrays(backward(false))), bytes(w));
      const relu = reluForward<Tensor["data"]>(x);
      const reluDx = () => reluBackward<Tensor["data"]>(x, relu.cache);
      reluDx();
      assertEquals(watchArrays(() => reluForward<Tensor["data"]>(x)), bytes(x));
      assertEquals(watchArrays(reluDx), bytes(x));
    });

    it(`batch normalization, but for a few numbers per channel, ${dtype}`, () => {
      const x = randn([500, 3], dtype), gamma = randn([3], dtype), beta = randn([3], dtype);
      const forward = () => batchnormForward<Tensor["data"]>(x, gamma, beta, { mode: "train" });
      forward();
      const made = watchArrays(forward);
      assertEquals(made[0], x.data.byteLength);
      for (const more of made.slice(1)) assert(more <= 24, `${more} bytes`);
    });

    it(`a step of adam, which works in place, ${dtype}`, () => {
      const w = randn([60, 9], dtype), dw = randn([60, 9], dtype);
      const first = adam<Tensor["data"]>(w, dw, { learningRate: 1e-3 });
      const largest = (made: number[]) => made.filter((size) => size >= w.data.byteLength).length;
      const step = () => adam<Tensor["data"]>(first.nextW, dw, first.config);
      assertEquals(largest(watchArrays(step)), 0);
    });
  }
});

describe("A net runs no more than its layers' passes", () => {
  it("without the first layer's dx", () => {
    const x = randn([2, 3, 12, 41], "float32");
    const net = new ConvNet({
      inputDim: [3, 12, 41],
      blocks: [{ conv: 5 }, { conv: 4, stride: 2 }],
      dtype: "float32",
    });
    net.loss(x as Tensor<Float32Array>);
    // dw of two convolutions, dx of the second, and what fully-connected layers share.
    const { modules } = watchWasm(() => net.loss(x as Tensor<Float32Array>, [1, 2]));
    assertEquals(modules.length, 3);
  });

  it("without dx of a fully-connected first layer", () => {
    const x = randn([3, 21], "float64") as Tensor<Float64Array>;
    const made = watchArrays(() => {
      new FullyConnectedNet([5], { inputDim: 21, numClasses: 2 }).loss(x, [0, 1, 0]);
    });
    assertEquals(made.includes(x.data.byteLength), false);
  });

  it("and in test mode keeps no layer's output beyond the next layer", async () => {
    const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--v8-flags=--expose-gc", testModeProgram],
      env: { NO_COLOR: "1" },
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    const [test, train] = JSON.parse(new TextDecoder().decode(stdout));
    // 4 MB a layer's output: six of them are kept to go back, the last one's input otherwise.
    assert(train > 20e6, `${train} bytes kept in training`);
    assert(test < 10e6, `${test} bytes kept in test mode`);
  });
});

/** Prints how many bytes more are alive when the last layer of a net is reached, by mode. */
const testModeProgram = `
import { ConvNet, zeros } from "${new URL("../../mod.ts", import.meta.url)}";

const blocks = Array.from({ length: 6 }, () => ({ conv: 4 }));
const net = new ConvNet({ inputDim: [4, 128, 128], blocks, dtype: "float32" });
const x = zeros([16, 4, 128, 128], "float32");
const alive = () => {
  gc({ type: "major", execution: "sync", flavor: "last-resort" });
  return Deno.memoryUsage().external;
};
const last = net.params.W7;
let seen = 0;
Object.defineProperty(net.params, "W7", { get: () => (seen ||= alive(), last) });
const keeps = (y) => {
  net.loss(x, y);
  // Lets go of the arrays that the next iteration would use again.
  net.predict(x);
  const before = alive();
  seen = 0;
  net.loss(x, y);
  return seen - before;
};
console.log(JSON.stringify([keeps(), keeps(Array(16).fill(0))]));
`;
