import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { naiveConv } from "../../../kernels/naive/conv.ts";
import { convKernels } from "../../../kernels/operations.ts";
import {
  explain,
  forgetChoices,
  select,
  useArithmetic,
  useKernels,
} from "../../../kernels/select.ts";
import { warmConv } from "../../../kernels/warm.ts";
import { type ConvShape, convShape } from "../../../kernels/shape.ts";
import type { DType, FloatArray } from "../../../kernels/tensor.ts";
import { currentArithmetic, features } from "../../../kernels/simd/features.ts";
import * as simdTier from "../../../kernels/simd/tier.ts";
import { ask } from "../../../kernels/tier.ts";
import type { WeightedKernel } from "../../../kernels/kernel.ts";
import { made, runPasses } from "../../support/kernels.ts";
import { kernelOfMany, rescheduled } from "../../support/simd.ts";

const shapes: readonly ConvShape[] = [
  convShape([2, 3, 6, 7], [4, 3, 3, 3], { stride: 1, pad: 1 }),
  convShape([2, 2, 9, 11], [6, 2, 3, 3], { stride: 2, pad: 1 }),
  convShape([2, 3, 5, 3], [2, 3, 2, 2], { stride: [1, 3], pad: [0, 1, 2, 0] }),
  convShape([2, 4, 5, 5], [3, 4, 1, 1], {}),
  convShape([2, 2, 10, 23], [3, 2, 5, 5], { pad: 2 }),
  convShape([2, 16, 8, 16], [16, 16, 3, 3], { pad: 1 }), // Winograd's
  convShape([2, 16, 4, 4], [24, 16, 3, 3], { pad: 1 }), // Winograd's, both images at once in float64
  convShape([2, 4, 9, 13], [10, 4, 7, 7], { pad: 3 }), // Winograd's, of nine windows
  convShape([2, 6, 9, 8], [8, 6, 5, 5], { pad: 2 }), // Winograd's, of four windows
  convShape([2, 6, 9, 8], [4, 3, 3, 3], { pad: 1, groups: 2 }),
  // Depthwise, without zeros around and with
  convShape([2, 5, 7, 9], [5, 1, 3, 3], { pad: 1, groups: 5 }),
  convShape([2, 5, 9, 13], [5, 1, 3, 3], { pad: 1, stride: 2, groups: 5 }),
  convShape([2, 3, 30, 18], [3, 1, 5, 5], { pad: 3, groups: 3 }),
];

/** Fills an array with values in a fixed order that looks random. */
function filled(length: number, dtype: DType, values: readonly number[], seed: number): FloatArray {
  const array = dtype === "float32" ? new Float32Array(length) : new Float64Array(length);
  let state = seed;
  return array.map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return values[(state >>> 8) % values.length];
  });
}

/** Compares every direction with the definition. */
function compare(
  shape: ConvShape,
  dtype: DType,
  values: {
    x: readonly number[];
    w: readonly number[];
    b: readonly number[];
    d: readonly number[];
  },
  same: (a: number, b: number) => boolean,
): void {
  const { C, H, W, F, KH, KW, OH, OW, groups } = shape;
  const x = filled(2 * C * H * W, dtype, values.x, 1),
    w = filled(F * C / groups * KH * KW, dtype, values.w, 2);
  const b = filled(F, dtype, values.b, 3), dout = filled(2 * F * OH * OW, dtype, values.d, 4);
  const run = (kernel: WeightedKernel) => {
    const like = (array: FloatArray) => array.slice().fill(7);
    const out = like(dout), relu = like(dout), dx = like(x), dw = like(w), db = like(b);
    kernel.forward(2, x, w, out, { bias: b });
    kernel.forward(2, x, w, relu, { bias: b, relu: true });
    kernel.backwardData(2, dout, w, dx);
    kernel.backwardWeights(2, x, dout, dw, db);
    return { out, relu, dx, dw, db };
  };
  const definition = run(naiveConv(shape));
  const kernels = [
    rescheduled(shape, dtype, {}),
    kernelOfMany(shape, dtype),
    rescheduled(shape, dtype, { algorithm: "gemm", few: undefined, batched: undefined }),
  ];
  for (const kernel of kernels) {
    const results = run(kernel);
    for (const name of ["out", "relu", "dx", "dw", "db"] as const) {
      results[name].forEach((value, i) => {
        const expected = definition[name][i];
        const what = `${kernel.name} ${name}[${i}]: ${value}, expected ${expected}`;
        assert(same(value, expected), what);
      });
    }
  }
}

describe("SIMD convolution of special numbers", () => {
  const ordinary = [1, -1, 2, -3, 0.5];
  for (const dtype of ["float32", "float64"] as const) {
    it(`passes infinities and NaN as the definition does, ${dtype}`, () => {
      for (const shape of shapes) {
        const rare = (value: number) => [...Array(40).fill(0), ...ordinary, ...ordinary, value];
        for (const special of [Infinity, -Infinity, NaN]) {
          const mixed = rare(special);
          const same = (a: number, b: number) => a === b || (a !== a && b !== b);
          compare(shape, dtype, { x: mixed, w: ordinary, b: ordinary, d: ordinary }, same);
          compare(shape, dtype, { x: ordinary, w: mixed, b: ordinary, d: ordinary }, same);
          compare(shape, dtype, { x: ordinary, w: ordinary, b: [1, special], d: ordinary }, same);
          compare(shape, dtype, { x: ordinary, w: ordinary, b: ordinary, d: mixed }, same);
          compare(shape, dtype, { x: mixed, w: mixed, b: ordinary, d: mixed }, same);
        }
      }
    });

    it(`keeps subnormal numbers, ${dtype}`, () => {
      const least = dtype === "float32" ? 2 ** -149 : 2 ** -1074;
      const tiny = [least, -least, 3 * least, 1000 * least, 0];
      const whole = [1, -1, 2, 0];
      for (const shape of shapes.slice(0, 5)) {
        compare(shape, dtype, { x: tiny, w: whole, b: tiny, d: whole }, (a, b) => a === b);
        compare(shape, dtype, { x: whole, w: tiny, b: tiny, d: whole }, (a, b) => a === b);
        compare(shape, dtype, { x: whole, w: whole, b: [0], d: tiny }, (a, b) => a === b);
      }
    });

    it(`keeps the sign of zero, ${dtype}`, () => {
      using _ = useArithmetic("reproducible");
      const zeros = [0, -0, -0, -0], values = [1, 2, -0];
      for (const shape of shapes) {
        compare(shape, dtype, { x: zeros, w: values, b: zeros, d: zeros }, Object.is);
        compare(shape, dtype, { x: values, w: zeros, b: [-0], d: values }, Object.is);
      }
    });

    it(`does not overflow where the definition does not, ${dtype}`, () => {
      const large = dtype === "float32" ? 2 ** 126 : 2 ** 1022;
      for (const shape of shapes) {
        const same = (a: number, b: number) => a === b || (a !== a && b !== b);
        const x = [large, ...Array(300).fill(0)];
        compare(shape, dtype, { x, w: [1], b: [0], d: [0, 0, 0, 0, 1] }, same);
      }
    });
  }
});

describe("Winograd's algorithm", () => {
  it("leaves images with non-finite values to the direct kernel", () => {
    const shape = convShape([3, 16, 8, 16], [16, 16, 3, 3], { pad: 1 });
    const kernel = kernelOfMany(shape, "float32");
    assertMatch(kernel.name, /winograd/);
    const naive = naiveConv(shape);
    const plane = 8 * 16, image = 16 * plane;
    const ones = (length: number) => filled(length, "float32", [1, -1, 2], 5);
    for (const special of [Infinity, -Infinity, NaN]) {
      for (let place = 0; place < 16; place++) {
        // The second of three images, one place of a tile after the other.
        const at = image + 3 * plane + (2 + (place >> 2)) * 16 + 4 + (place & 3);
        const x = ones(3 * image), w = ones(16 * 16 * 9), b = ones(16), dout = ones(3 * image);
        const out = dout.map(() => 7),
          dx = x.map(() => 7),
          dw = w.map(() => 7),
          db = b.map(() => 7);
        const expected = { out: out.slice(), dx: dx.slice(), dw: dw.slice(), db: db.slice() };
        x[at] = special;
        kernel.forward(3, x, w, out, { bias: b });
        naive.forward(3, x, w, expected.out, { bias: b });
        assertEquals(out, expected.out);
        kernel.backwardWeights(3, x, dout, dw, db);
        naive.backwardWeights(3, x, dout, expected.dw, expected.db);
        assertEquals(dw, expected.dw);
        kernel.backwardData(3, x, w, dx);
        naive.backwardData(3, x, w, expected.dx);
        assertEquals(dx, expected.dx);
      }
    }
  });
});

/** Rows and columns of kernels, those of Winograd's algorithm among them. */
const kernelSizes = [3, 4, 5, 6, 7];

/** Every kernel of these sizes: what it gives of ordinary numbers, and how large its terms are. */
function* kernelsOfSizes(dtype: DType) {
  for (const KH of kernelSizes) {
    for (const KW of kernelSizes) {
      const pad = [KH >> 1, KW >> 1] as const;
      const shape = convShape([1, 12, 10, 16], [16, 12, KH, KW], { pad });
      const { C, H, W, F, OH, OW } = shape;
      const kernel = kernelOfMany(shape, dtype);
      const inputs = {
        x: made(C * H * W, dtype, "reals"),
        w: made(F * C * KH * KW, dtype, "reals"),
        b: made(F, dtype, "reals"),
        dout: made(F * OH * OW, dtype, "reals"),
      };
      const absolute = (array: FloatArray) => array.map(Math.abs);
      const { x, w, b, dout } = inputs;
      const naive = naiveConv(shape);
      const terms = { x: absolute(x), w: absolute(w), b: absolute(b), dout: absolute(dout) };
      const [expected, scale] = [inputs, terms].map((it) => runPasses(naive, 1, it));
      /** Whether the window of an output holds an input. */
      const meets = (oy: number, ox: number, y: number, x: number) => {
        const ky = y - oy + pad[0], kx = x - ox + pad[1];
        return ky >= 0 && ky < KH && kx >= 0 && kx < KW;
      };
      yield { shape, kernel, naive, inputs, expected, scale, meets };
    }
  }
}

describe("A number far larger than the others", () => {
  const places = [[0, 0], [0, 5], [3, 0], [4, 7], [5, 8], [7, 2], [9, 15]];

  for (const dtype of ["float32", "float64"] as const) {
    const tolerance = dtype === "float32" ? 1e-5 : 1e-12;

    it(`leaves outputs, and gradients of inputs, that do not depend on it alone, ${dtype}`, () => {
      let winograd = 0;
      for (const { shape, kernel, inputs, expected, scale, meets } of kernelsOfSizes(dtype)) {
        const { H, W, KH, KW, OH, OW } = shape;
        assertEquals(kernel.name.includes("winograd"), KH * KW % 2 === 1, kernel.name);
        if (kernel.name.includes("winograd")) winograd++;
        const { x, w, b, dout } = inputs;
        for (const huge of [1e5, -1e20]) {
          for (const [row, column] of places) {
            const oy = Math.min(row, OH - 1), ox = Math.min(column, OW - 1);
            const largeX = x.slice(), largeDout = dout.slice();
            const out = dout.slice(), relu = dout.slice(), dx = x.slice();
            largeX[(3 * H + row) * W + column] = huge;
            largeDout[(3 * OH + oy) * OW + ox] = huge;
            kernel.forward(1, largeX, w, out, { bias: b });
            kernel.forward(1, largeX, w, relu, { bias: b, relu: true });
            kernel.backwardData(1, largeDout, w, dx);
            const check = (
              name: "out" | "relu" | "dx",
              actual: FloatArray,
              width: number,
              height: number,
              depends: (y: number, x: number) => boolean,
            ) =>
              actual.forEach((value, i) => {
                if (depends(Math.floor(i / width) % height, i % width)) return;
                const error = Math.abs(value - expected[name][i]);
                const what = `${kernel.name} ${name}[${i}] beside ${huge} at ${row}, ${column}`;
                assert(error <= tolerance * scale[name][i], `${what}: off by ${error}`);
              });
            check("out", out, OW, OH, (y, x) => meets(y, x, row, column));
            check("relu", relu, OW, OH, (y, x) => meets(y, x, row, column));
            check("dx", dx, W, H, (y, x) => meets(oy, ox, y, x));
          }
        }
      }
      assertEquals(winograd, 9);
    });

    it(`leaves gradients of weights precise against the largest of their kernel, ${dtype}`, () => {
      for (const { shape, kernel, naive, inputs } of kernelsOfSizes(dtype)) {
        const { H, W, KH, KW, OH, OW } = shape;
        const taps = KH * KW;
        for (const name of ["x", "dout"] as const) {
          const large = { ...inputs, [name]: inputs[name].slice() };
          // In a corner, where some taps meet only padding.
          large[name][4 * (name === "x" ? H * W : OH * OW) - 1] = 1e20;
          const [actual, expected] = [kernel, naive].map((it) => {
            const dw = inputs.w.slice();
            it.backwardWeights(1, large.x, large.dout, dw, inputs.b.slice());
            return dw;
          });
          for (let from = 0; from < actual.length; from += taps) {
            const scale = Math.max(...expected.subarray(from, from + taps).map(Math.abs), taps);
            for (let i = from; i < from + taps; i++) {
              const error = Math.abs(actual[i] - expected[i]);
              assert(error <= tolerance * scale, `${kernel.name} dw[${i}]: off by ${error}`);
            }
          }
        }
      }
    });
  }
});

describe("the SIMD tier", () => {
  it("answers with a reason where WebAssembly is missing or forbidden, and the next tier serves", () => {
    const shape = shapes[0];
    const real = globalThis.WebAssembly;
    const forbidden = {
      ...real,
      validate: () => true,
      Module: class {
        constructor() {
          throw new EvalError("Refused to compile WebAssembly");
        }
      },
    };
    const without = {
      ...real,
      validate: () => false,
      Module: class {
        constructor() {
          throw new SyntaxError("invalid opcode 0xfd");
        }
      },
    };
    try {
      for (
        const [stub, why] of [[undefined, ""], [forbidden, "Refused"], [without, "0xfd"]] as const
      ) {
        Object.defineProperty(globalThis, "WebAssembly", {
          value: stub,
          configurable: true,
          writable: true,
        });
        forgetChoices();
        const { kernel, reason } = ask(simdTier.conv, shape, "float32");
        assertEquals(kernel, undefined);
        assertMatch(reason, new RegExp(`WebAssembly .*${why}`));
        const explanation = explain(convKernels, shape, "float32");
        assert(explanation.tier !== "simd");
        assertMatch(explanation.reason, /simd: WebAssembly/);
      }
    } finally {
      Object.defineProperty(globalThis, "WebAssembly", {
        value: real,
        configurable: true,
        writable: true,
      });
      forgetChoices();
    }
    assertEquals(select(convKernels, shape, "float32").tier, "simd");
  });

  it("says how it computes", () => {
    const shape = convShape([1, 2, 6, 6], [3, 2, 3, 3], { pad: 1 });
    const how = features().fused ? "with" : "without";
    assertEquals(
      explain(convKernels, shape, "float32").reason,
      `simd: SIMD ${how} relaxed multiply-add`,
    );
  });

  it("uses no relaxed instruction when arithmetic must be reproducible", () => {
    const fused = features().fused;
    {
      using _ = useArithmetic("reproducible");
      assertEquals(features().fused, false);
      // 1 + 2^-30 squared is rounded once or twice: only fused multiply-add keeps its last term.
      const shape = convShape([1, 1, 1, 2], [1, 1, 1, 2], {});
      const a = 1 + 2 ** -30;
      const out = new Float64Array(1);
      const inputs = [Float64Array.of(-1, a), Float64Array.of(1 + 2 ** -29, a)] as const;
      select(convKernels, shape, "float64").forward(1, ...inputs, out, {});
      assertEquals(out[0], 0);
      assertMatch(explain(convKernels, shape, "float64").reason, /reproducible/);
    }
    assertEquals(features().fused, fused);
  });

  it("goes back to the arithmetic of the block around, when blocks are nested", () => {
    const { fused } = features();
    const reproducible = () => features().reason.includes("reproducible");
    {
      using _ = useArithmetic("reproducible");
      {
        using _ = useArithmetic("fast");
        assertEquals([reproducible(), features().fused], [false, fused]);
      }
      assertEquals([reproducible(), features().fused], [true, false]);
      {
        using _ = useArithmetic("reproducible");
      }
      assertEquals(reproducible(), true);
    }
    assertEquals([reproducible(), features().fused], [false, fused]);
  });

  it("keeps its kernels through blocks with other settings", () => {
    const shape = convShape([1, 2, 6, 6], [3, 2, 3, 3], { pad: 1 });
    const kernel = select(convKernels, shape, "float32");
    const others = (["generated", "naive"] as const).map((tier) => {
      using _ = useKernels(tier);
      return select(convKernels, shape, "float32");
    });
    {
      using _ = useArithmetic("reproducible");
      others.push(select(convKernels, shape, "float32"));
    }
    assertEquals(others.map(({ tier }) => tier), ["generated", "naive", "simd"]);
    assertEquals(others.includes(kernel), false);
    assert(select(convKernels, shape, "float32") === kernel);
  });

  it("keeps the 256 kernels that were used last", () => {
    forgetChoices();
    const kernelOf = (W: number) =>
      select(convKernels, convShape([1, 1, 1, W], [1, 1, 1, 1], {}), "float32");
    const [often, once] = [kernelOf(1), kernelOf(2)];
    for (let W = 3; W <= 256; W++) {
      kernelOf(W);
      kernelOf(1);
    }
    assert(kernelOf(2) === once);
    const third = kernelOf(3);
    // With 1 and 3 these are the last 256.
    for (let W = 257; W < 257 + 254; W++) {
      kernelOf(W);
      kernelOf(1);
    }
    assert(kernelOf(1) === often);
    assert(kernelOf(3) === third);
    assert(kernelOf(2) !== once);
  });

  it("restores the arithmetic that was in force before, one block in another", () => {
    const inForce: string[] = [];
    {
      using _ = useArithmetic("reproducible");
      {
        using _ = useArithmetic("fast");
        inForce.push(currentArithmetic());
        {
          using _ = useArithmetic("reproducible");
          inForce.push(currentArithmetic());
        }
        inForce.push(currentArithmetic());
      }
      inForce.push(currentArithmetic());
    }
    inForce.push(currentArithmetic());
    assertEquals(inForce, ["fast", "reproducible", "fast", "reproducible", "fast"]);
  });

  it("refuses arithmetic that it does not know", () => {
    // @ts-expect-error: not one of the two
    assertThrows(() => useArithmetic("exact"), TypeError, 'received "exact"');
  });

  it("warms up any kernel, and checks what it is given", () => {
    warmConv([1, 3, 8, 8], [4, 3, 3, 3], { pad: 1 });
    warmConv([1, 3, 8, 8], [4, 3, 3, 3], { pad: 1 }, "float32");
    assertThrows(() => warmConv([1, 3, 8, 8], [4, 2, 3, 3], {}), RangeError, "channels");
    // @ts-expect-error: no dtype
    assertThrows(() => warmConv([1, 3, 8, 8], [4, 3, 3, 3], {}, "int8"), TypeError, "int8");
  });
});
