import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  affine,
  averagePool,
  batchnorm,
  concat,
  conv,
  convTranspose,
  depthwiseConv,
  dropout,
  evalNumericalGradientArray,
  flatten,
  gelu,
  globalAverage,
  globalMax,
  groupnorm,
  type LayerDefinition,
  layernorm,
  leakyRelu,
  maxPool,
  RandomState,
  relu,
  residual,
  sequential,
  sigmoid,
  tanh,
  type Tensor,
  tensor,
  useKernels,
} from "../../../mod.ts";
import { lone } from "../../support/planned.ts";

/** Every layer, on an input and with the shape of its output. */
const cases: readonly (readonly [LayerDefinition, readonly number[], readonly number[]])[] = [
  [conv(4), [3, 6, 5], [4, 6, 5]],
  [conv(4, { kernel: [3, 2], stride: [2, 1], pad: [1, 0, 2, 1] }), [2, 7, 6], [4, 4, 6]],
  [conv(6, { dilation: 2, groups: 2, bias: false }), [4, 7, 7], [6, 7, 7]],
  [conv(3, { kernel: 4, stride: 3, pad: "same" }), [2, 7, 8], [3, 3, 3]],
  [conv(5, { kernel: 1 }), [4, 3, 3], [5, 3, 3]],
  [depthwiseConv({ stride: 2 }), [5, 7, 7], [5, 4, 4]],
  [depthwiseConv({ kernel: 5, multiplier: 2, bias: false }), [3, 6, 6], [6, 6, 6]],
  [convTranspose(3, { kernel: 2, stride: 2 }), [4, 3, 5], [3, 6, 10]],
  [
    convTranspose(4, { stride: 2, outputPad: 1, groups: 2, bias: false }),
    [4, 4, 3],
    [4, 8, 6],
  ],
  [affine(5), [7], [5]],
  [affine(3), [2, 3, 4], [3]],
  [flatten(), [2, 3, 4], [24]],
  [relu(), [3, 4, 4], [3, 4, 4]],
  [leakyRelu(), [8], [8]],
  [leakyRelu(0.3), [3, 2, 2], [3, 2, 2]],
  [gelu(), [3, 4, 4], [3, 4, 4]],
  [sigmoid(), [9], [9]],
  [tanh(), [9], [9]],
  [batchnorm(), [6], [6]],
  [batchnorm({ eps: 1e-3, momentum: 0.5 }), [3, 4, 5], [3, 4, 5]],
  [layernorm(), [9], [9]],
  [groupnorm(2), [6, 3, 4], [6, 3, 4]],
  [groupnorm(1, { eps: 0.1 }), [4, 3, 3], [4, 3, 3]],
  [dropout(0.6), [20], [20]],
  [maxPool(2), [3, 6, 7], [3, 3, 3]],
  [maxPool([3, 2], { stride: [2, 1], pad: 1, ceilMode: true }), [2, 6, 5], [2, 4, 6]],
  [maxPool(2, { stride: 1, dilation: 2 }), [2, 5, 5], [2, 3, 3]],
  [averagePool(2), [3, 6, 6], [3, 3, 3]],
  [averagePool(3, { stride: 2, pad: 1, countIncludePad: false }), [2, 6, 5], [2, 3, 3]],
  [globalAverage(), [4, 3, 5], [4]],
  [globalMax(), [4, 3, 5], [4]],
  [sequential(), [3, 2, 2], [3, 2, 2]],
  [sequential(conv(4), relu(), maxPool(2), tanh()), [2, 6, 6], [4, 3, 3]],
  [residual(conv(3)), [3, 5, 5], [3, 5, 5]],
  [residual(sequential()), [3, 2, 2], [3, 2, 2]],
  [residual(conv(4, { stride: 2 }), conv(4, { kernel: 1, stride: 2 })), [3, 6, 6], [4, 3, 3]],
  [residual(flatten(), flatten()), [3, 2, 2], [12]],
  [concat(conv(2), sequential(), maxPool(3, { stride: 1, pad: 1 })), [3, 5, 4], [8, 5, 4]],
  [concat(affine(3), affine(2)), [7], [5]],
];

/** A layer as a reader says it. */
const nameOf = ({ type, args = [] }: LayerDefinition): string => {
  const parts = args.map((arg) => {
    const isLayer = typeof arg === "object" && arg !== null && "plan" in arg;
    return isLayer ? nameOf(arg as LayerDefinition) : JSON.stringify(arg);
  });
  return `${type}(${parts.join(", ")})`;
};

const N = 3;

function assertNear(actual: Tensor, expected: Tensor, bound: number, what: string): void {
  assertEquals(actual.shape, expected.shape, what);
  const scale = Math.max(1e-3, ...Array.from(expected.data, Math.abs));
  actual.data.forEach((value, i) => {
    const right = Math.abs(value - expected.data[i]) <= bound * scale;
    assert(right, `${what}[${i}] is ${value}, not ${expected.data[i]}`);
  });
}

describe("Every layer", () => {
  for (const [layer, inShape, outShape] of cases) {
    it(`${nameOf(layer)} on [${inShape}] has right shapes and gradients, by every tier`, () => {
      for (const tier of ["auto", "generated", "naive"] as const) {
        using _ = useKernels(tier);
        const { params, grads, forward, ...planned } = lone(layer, inShape);
        assertEquals(planned.outShape, outShape);
        const random = new RandomState(11);
        const x = random.randn([N, ...inShape]);
        const kept = x.data.slice();
        const { out, backward } = forward(x);
        assertEquals(out.shape, [N, ...outShape]);
        const dout = random.randn(out.shape);
        const given = dout.data.slice();
        const { dx } = backward(dout, {});
        assertEquals([x.data, dout.data], [kept, given], "what it was given is unchanged");
        const run = () => forward(x).out;
        assertNear(dx!, evalNumericalGradientArray(run, x, dout), 1e-7, "dx");
        assertEquals(Object.keys(grads).sort(), Object.keys(params).sort());
        for (const [name, param] of Object.entries(params)) {
          assertNear(grads[name], evalNumericalGradientArray(run, param, dout), 1e-7, name);
        }
      }
    });

    it(`${nameOf(layer)} on [${inShape}] gives in float32 what it gives in float64`, () => {
      const double = lone(layer, inShape), single = lone(layer, inShape, "float32");
      const x = new RandomState(12).randn([N, ...inShape]);
      for (const mode of ["train", "test"] as const) {
        const exact = double.forward(x, mode);
        const rounded = single.forward(tensor(Float32Array.from(x.data), x.shape), mode);
        assert(rounded.out.data instanceof Float32Array);
        assertNear(rounded.out, exact.out, 1e-4, `out in ${mode}`);
      }
    });
  }

  it("leaves out the gradient of the input where nobody needs it", () => {
    for (const layer of [conv(4), depthwiseConv(), convTranspose(2), affine(3)]) {
      const { forward, grads } = lone(layer, [3, 5, 5]);
      const { out, backward } = forward(new RandomState(1).randn([2, 3, 5, 5]));
      assertEquals(backward(out, { dx: false }).dx, undefined);
      assert(Object.keys(grads).length === 2);
    }
  });

  it("says what is wrong with its options when it is made", () => {
    assertThrows(() => conv(0), RangeError, "conv.filters");
    assertThrows(() => conv(3, { kernel: 0 }), RangeError, "conv.kernel");
    assertThrows(() => conv(3, { kernel: [3, 2.5] }), RangeError, "conv.kernel");
    assertThrows(() => conv(3, { stride: 0 }), RangeError, "conv.stride");
    // @ts-expect-error: no such option
    assertThrows(() => conv(3, { strides: 1 }), TypeError, '"strides"');
    // @ts-expect-error: no such option of a depthwise convolution
    assertThrows(() => depthwiseConv({ groups: 2 }), TypeError, '"groups"');
    // @ts-expect-error: a string is not a size
    assertThrows(() => conv("3"), TypeError, "conv.filters");
    assertThrows(() => convTranspose(1.5), RangeError, "convTranspose.filters");
    assertThrows(() => affine(0), RangeError, "affine.outputs");
    assertThrows(() => dropout(0), RangeError, "dropout.p");
    assertThrows(() => dropout(1.5), RangeError, "dropout.p");
    assertThrows(() => leakyRelu(NaN), RangeError, "leakyRelu.a");
    assertThrows(() => batchnorm({ momentum: 2 }), RangeError, "batchnorm.momentum");
    assertThrows(() => layernorm({ eps: -1 }), RangeError, "layernorm.eps");
    assertThrows(() => groupnorm(0), RangeError, "groupnorm.groups");
    assertThrows(() => maxPool(0), RangeError, "maxPool.size");
    // @ts-expect-error: max-pools have no such option
    assertThrows(() => maxPool(2, { countIncludePad: true }), TypeError, '"countIncludePad"');
    assertThrows(() => averagePool(2, { stride: -1 }), RangeError, "averagePool.stride");
    assertThrows(() => concat(), RangeError, "concat must have a branch");
  });
});
