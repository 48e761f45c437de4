import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { MapShape } from "../../../kernels/map.ts";
import { adamStep } from "../../../kernels/maps/adam.ts";
import { geluForward, geluWithSlope } from "../../../kernels/maps/gelu.ts";
import { approachStep } from "../../../kernels/maps/approach.ts";
import { addPenalty } from "../../../kernels/maps/penalty.ts";
import { product } from "../../../kernels/maps/product.ts";
import { relu, reluMask } from "../../../kernels/maps/relu.ts";
import { adagradStep, rmspropStep } from "../../../kernels/maps/rmsprop.ts";
import { momentumStep, nesterovStep, sgdStep } from "../../../kernels/maps/sgd.ts";
import { rectifiedSum, sum } from "../../../kernels/maps/sum.ts";
import { mapKernels } from "../../../kernels/operations.ts";
import { naiveMap } from "../../../kernels/naive/map.ts";
import { explain, select } from "../../../kernels/select.ts";
import type { DType, FloatArray } from "../../../kernels/tensor.ts";
import { scratch } from "../../../kernels/simd/memory.ts";
import * as simdTier from "../../../kernels/simd/tier.ts";
import { ask } from "../../../kernels/tier.ts";
import { gelu, RandomState, useArithmetic, useKernels } from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";
import { lone } from "../../support/planned.ts";

const dtypes: readonly DType[] = ["float32", "float64"];

/** One number less, one and more than a block, and a few. */
const LENGTHS = [0, 1, 3, 4, 7, 8191, 8192, 8193, 20_001];

/** Numbers, special ones among them. */
function numbers(length: number, dtype: DType, seed = 231): FloatArray {
  const special = [0, -0, NaN, Infinity, -Infinity, 1e-45, -1e-45, 1, -1, 3e38];
  const random = new RandomState(seed);
  const { data } = random.randn([length], dtype);
  return data.map((value) => random.rand() < 0.1 ? special[random.randint(10)] : value);
}

/** The SIMD kernel, which must exist. */
function simdKernel(map: MapShape, dtype: DType) {
  const { kernel, reason } = ask(simdTier.map, map, dtype);
  if (kernel === undefined) throw new Error(reason);
  return kernel;
}

describe("SIMD maps", () => {
  for (const dtype of dtypes) {
    for (const map of [product, sum, rectifiedSum, relu, reluMask]) {
      it(`give the bits of the definition for arrays of any length, ${map.map.name} ${dtype}`, () => {
        for (const length of LENGTHS) {
          const arrays = () => map.map.arrays.map((_, i) => numbers(length, dtype, i));
          const [actual, expected, inPlace] = [arrays(), arrays(), arrays()];
          naiveMap(map).run(expected);
          const kernel = simdKernel(map, dtype);
          // It relies on nothing that the memory holds.
          scratch("float32").fill(NaN);
          kernel.run(actual);
          assertSameBits(actual, expected);
          // Written over what is read.
          simdKernel(map, dtype).run([...inPlace.slice(0, -1), inPlace[0]]);
          assertSameBits(inPlace[0], expected.at(-1));
        }
      });
    }
  }

  it("take the steps of adam that its definition takes, in float32 but for a few roundings", () => {
    const N = 1001, settings = [0.99, 2e-3, 0.9, 0.1, 0.999, 0.001, 1.5, 1e-8];
    for (const dtype of dtypes) {
      const [actual, expected] = [0, 1].map(() => {
        const [w, dw, mean, square] = [1, 2, 3, 4].map((seed) =>
          new RandomState(seed).randn([N], dtype).data
        );
        return [w, dw, mean, square.map(Math.abs)];
      });
      const kernel = simdKernel(adamStep, dtype);
      assertEquals(kernel.name, `adam-${dtype === "float32" ? "f32" : "f64"}-simd`);
      kernel.run(actual, settings);
      naiveMap(adamStep).run(expected, settings);
      if (dtype === "float64") {
        assertSameBits(actual, expected);
        continue;
      }
      for (const [k, numbers] of expected.entries()) {
        for (const [i, value] of numbers.entries()) {
          const off = Math.abs(actual[k][i] - value) / Math.max(Math.abs(value), 0.5);
          assert(off < 4 * 2 ** -24, `array ${k}[${i}] is ${actual[k][i]}, not ${value}`);
        }
      }
    }
  });

  it("take the bits of the definition under reproducible arithmetic", () => {
    using _ = useArithmetic("reproducible");
    const settings = [0.99, 2e-3, 0.9, 0.1, 0.999, 0.001, 1.5, 1e-8];
    for (const dtype of dtypes) {
      for (const map of [product, sum, rectifiedSum, relu, reluMask, adamStep]) {
        const [actual, expected] = [0, 1].map(() =>
          map.map.arrays.map((_, i) => numbers(1001, dtype, i).map(Math.abs))
        );
        simdKernel(map, dtype).run(actual, settings);
        naiveMap(map).run(expected, settings);
        assertSameBits(actual, expected);
      }
    }
  });

  it("take the bits of the definition in every other step of a training run", () => {
    const settings = [0.3, 1e-7, 0.9, 0.1];
    for (const dtype of dtypes) {
      for (
        const map of [sgdStep, momentumStep, nesterovStep, adagradStep, rmspropStep, approachStep]
      ) {
        for (const length of LENGTHS) {
          const [actual, expected] = [0, 1].map(() =>
            map.map.arrays.map((_, i) => numbers(length, dtype, i).map(Math.abs))
          );
          simdKernel(map, dtype).run(actual, settings);
          naiveMap(map).run(expected, settings);
          assertSameBits(actual, expected);
        }
      }
    }
  });

  it("sum with the bits of the definition, whatever the memory holds", () => {
    for (const dtype of dtypes) {
      for (const length of LENGTHS) {
        const [actual, expected] = [0, 1].map(() =>
          [0, 1].map((i) => new RandomState(i).randn([length], dtype).data)
        );
        const squares = Array.from(actual[0]).reduce((sum, value) => sum + value * value, 0);
        const kernel = simdKernel(addPenalty, dtype);
        scratch("float32").fill(NaN);
        const [sum] = kernel.run(actual, [0.25]);
        assertEquals([sum], naiveMap(addPenalty).run(expected, [0.25]));
        assertSameBits(actual, expected);
        assert(Math.abs(sum - squares) <= 1e-13 * squares, `${sum} is not ${squares}`);
      }
      const special = numbers(9, dtype).map((value, i) => i === 8 ? NaN : value);
      assertEquals(simdKernel(addPenalty, dtype).run([special, special.slice()], [1]), [NaN]);
    }
  });

  it("say their names, and why not", () => {
    assertEquals(explain(mapKernels, product, "float64").name, "product-f64-simd");
    assertEquals(explain(mapKernels, geluForward, "float32").name, "gelu-f32-simd");
    assertEquals(explain(mapKernels, addPenalty, "float32").name, "penalty-f32-simd");
    const steps = [sgdStep, momentumStep, nesterovStep, adagradStep, rmspropStep, approachStep];
    assertEquals(steps.map((step) => explain(mapKernels, step, "float32").name), [
      ...["sgd-f32-simd", "sgd-momentum-f32-simd", "sgd-nesterov-momentum-f32-simd"],
      ...["adagrad-f32-simd", "rmsprop-f32-simd", "approach-f32-simd"],
    ]);
    const { name, reason } = explain(mapKernels, geluForward, "float64");
    assertEquals(name, "gelu-naive");
    assertMatch(reason, /precise enough for float32 alone/);
    using _ = useKernels("naive");
    assertEquals(explain(mapKernels, product, "float32").name, "product-naive");
  });

  it("run again when many others have run", () => {
    const a = numbers(10, "float32"), out = a.slice();
    const kernel = select(mapKernels, geluForward, "float32");
    const first = () => (kernel.run([a, out]), out.slice());
    const before = first();
    simdKernel(product, "float64").run(["a", "b", "c"].map(() => numbers(20_000, "float64")));
    assertSameBits(first(), before);
  });
});

/** The distance between neighbors at a number, as float32. */
function unit(value: number): number {
  const size = Math.abs(Math.fround(value));
  return 2 ** Math.max(-149, Math.floor(Math.log2(Math.max(size, 2 ** -149))) - 23);
}

const RANGES = [
  ...[[-1e-40, 1e-40], [-1e-10, 1e-10], [-1, 1], [-3, -1], [-6, -3], [-16, 0], [0, 7]],
  ...[[-13.3, -12.8], [-14.6, -14.2], [-100, 100], [-3e38, 3e38]],
];

describe("The SIMD gelu", () => {
  it("is wrong by less than 0.51 units in the last place, its slope by 0.55 or 3e-10", () => {
    const N = 50_000;
    const kernel = simdKernel(geluWithSlope, "float32");
    let worst = 0;
    for (const [low, high] of RANGES) {
      const x = Float32Array.from(
        new RandomState(7).rand([N]).data,
        (u) => low + u * (high - low),
      );
      const out = new Float32Array(N), slope = new Float32Array(N);
      kernel.run([x, out, slope]);
      const exact = new Float64Array(N), exactSlope = new Float64Array(N);
      naiveMap(geluWithSlope).run([Float64Array.from(x), exact, exactSlope]);
      for (let i = 0; i < N; i++) {
        const off = Math.abs(out[i] - exact[i]) / unit(exact[i]);
        worst = Math.max(worst, off);
        assert(off < 0.51, `gelu(${x[i]}) is ${out[i]}, ${off} units from ${exact[i]}`);
        // Where the slope crosses 0, its two terms cancel.
        const distance = Math.abs(slope[i] - exactSlope[i]);
        const isClose = distance < 0.55 * unit(exactSlope[i]) || distance < 3e-10;
        assert(isClose, `the slope at ${x[i]} is ${slope[i]}, ${distance} from ${exactSlope[i]}`);
      }
    }
    assert(worst > 0.4, "nothing was rounded");
  });

  it("agrees with its definition on what is not finite, on zeros and on the least numbers", () => {
    const x = [0, -0, NaN, Infinity, -Infinity, 8.4e-45, -8.4e-45, 3e38, -3e38, -15, -14.99, 20];
    for (const map of [geluForward, geluWithSlope]) {
      const [actual, expected] = [simdKernel(map, "float32"), naiveMap(map)].map((kernel) => {
        const arrays = map.map.arrays.map(() => Float32Array.from(x));
        kernel.run(arrays);
        return arrays;
      });
      assertSameBits(actual.slice(0, 2), expected.slice(0, 2));
      // A slope of 0 may have either sign.
      assertEquals(actual[2]?.map((slope) => slope + 0), expected[2]?.map((slope) => slope + 0));
    }
    const ends = Float32Array.of(-Infinity, Infinity), slopes = ends.slice();
    simdKernel(geluWithSlope, "float32").run([ends, ends, slopes]);
    assertEquals([...ends, ...slopes], [-0, Infinity, -0, 1]);
  });

  it("has the same bits under both arithmetics", () => {
    const run = () => {
      const layer = lone(gelu(), [1000], "float32");
      const x = new RandomState(3).randn([2, 1000], "float32");
      const { out, backward } = layer.forward(x);
      return [out, backward(x, {}).dx];
    };
    const fast = run();
    using _ = useArithmetic("reproducible");
    assertSameBits(run(), fast);
  });

  it("is at inference what it is in training, and leaves its input alone unless it owns it", () => {
    for (const dtype of dtypes) {
      const x = new RandomState(3).randn([2, 100], dtype), before = x.data.slice();
      const layer = lone(gelu(), [100], dtype);
      assertSameBits(layer.forward(x, "test").out, layer.forward(x, "train").out);
      assertSameBits(x.data, before);
    }
  });
});
