import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import {
  affine,
  batchnorm,
  conv,
  depthwiseConv,
  globalAverage,
  type LayerDefinition,
  Net,
  relu,
  residual,
  sequential,
  type Tensor,
  tensor,
  useKernels,
} from "../../../mod.ts";

/** What PyTorch computed: see make_pytorch_nets.py beside the file. */
const file = await Deno.readFile(
  new URL("../../fixtures/pytorch-nets.safetensors", import.meta.url),
);
const header = Number(new DataView(file.buffer).getBigUint64(0, true));
const entries: Record<string, { shape: number[]; data_offsets: [number, number] }> = JSON.parse(
  new TextDecoder().decode(file.subarray(8, 8 + header)),
);

type Doubles = Tensor<Float64Array>;

/** The tensors whose names begin with a prefix, by the rest of their names. */
function recorded(prefix: string): Record<string, Doubles> {
  const found = Object.entries(entries).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(found.map(([name, { shape, data_offsets: [start, end] }]) => {
    const bytes = file.slice(8 + header + start, 8 + header + end);
    return [name.slice(prefix.length), tensor(new Float64Array(bytes.buffer), shape)];
  }));
}

/** Asserts that numbers agree to 1e-10 of the largest expected one, or of 1e-5 where all are 0 but for rounding. */
function assertNear(actual: Tensor, expected: Doubles, what: string): void {
  assertEquals(actual.shape, expected.shape, what);
  const scale = expected.data.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-5);
  let error = 0;
  for (const [i, value] of expected.data.entries()) {
    error = Math.max(error, Math.abs(actual.data[i] - value));
  }
  assert(error <= 1e-10 * scale, `${what} is off by ${error}, its largest value is ${scale}`);
}

const unit = (filters: number, options: { kernel?: number; stride?: number } = {}) =>
  sequential(conv(filters, { ...options, bias: false }), batchnorm());

const basicBlock = (filters: number, stride: number, isProjected: boolean) =>
  sequential(
    residual(
      sequential(unit(filters, { stride }), relu(), unit(filters)),
      isProjected ? unit(filters, { kernel: 1, stride }) : undefined,
    ),
    relu(),
  );

const stage = (filters: number, stride: number) =>
  sequential(
    basicBlock(filters, stride, stride > 1),
    basicBlock(filters, 1, false),
    basicBlock(filters, 1, false),
  );

const inverted = (wide: number, filters: number, stride = 1) =>
  sequential(
    ...[unit(wide, { kernel: 1 }), relu()],
    ...[depthwiseConv({ stride, bias: false }), batchnorm(), relu()],
    unit(filters, { kernel: 1 }),
  );

const nets: Readonly<Record<string, readonly LayerDefinition[]>> = {
  resnet20: [sequential(unit(4), relu()), stage(4, 1), stage(6, 2), stage(8, 2)],
  depthwise: [
    sequential(unit(4), relu()),
    residual(inverted(8, 4)),
    inverted(12, 6, 2),
    sequential(residual(inverted(12, 6)), unit(10, { kernel: 1 }), relu()),
  ],
};

/** A layer that lets everything through, and tells what. */
const tap = (see: (out: Tensor, dout?: Tensor) => void): LayerDefinition => ({
  type: "tap",
  plan: (inShape) => ({
    outShape: inShape,
    forward: (x) => {
      see(x);
      return {
        out: x,
        backward(dout) {
          see(x, dout);
          return { dx: dout };
        },
      };
    },
  }),
});

describe("PyTorch's numbers, to 1e-10", () => {
  for (const [name, stages] of Object.entries(nets)) {
    for (const tier of ["auto", "generated", "naive"] as const) {
      it(`are those of ${name}, stage by stage, forward and back, by ${tier} kernels`, () => {
        using _ = useKernels(tier);
        const outs: Tensor[] = [], douts: Tensor[] = [];
        const tapped = stages.flatMap((stage, i) => [
          stage,
          tap((out, dout) => dout === undefined ? outs[i] = out : douts[i] = dout),
        ]);
        let trained: Tensor | undefined;
        const net = new Net({
          inputDim: [3, 8, 8],
          layers: [...tapped, globalAverage(), affine(5), tap((out) => trained = out)],
        });
        const { x, y, loss, testScores, scores } = recorded(`${name}.`);
        const params = recorded(`${name}.params.`), grads = recorded(`${name}.grads.`);
        assertEquals(Object.keys(net.params).sort(), Object.keys(params).sort());
        for (const [param, { shape }] of Object.entries(net.params)) {
          assertEquals(params[param].shape, shape, param);
        }
        Object.assign(net.params, params);
        net.setState({ statistics: recorded(`${name}.statistics.`) });
        assertNear(net.predict(x), testScores, "the scores in use");
        const found = net.loss(x, [...y.data]);
        assertNear(tensor(Float64Array.of(found.loss), [1]), loss, "the loss");
        for (const [i, out] of Object.entries(recorded(`${name}.stages.`))) {
          assertNear(outs[Number(i)], out, `stage ${i}`);
        }
        for (const [i, dout] of Object.entries(recorded(`${name}.stageGrads.`))) {
          assertNear(douts[Number(i)], dout, `the gradient of stage ${i}`);
        }
        for (const [param, gradient] of Object.entries(grads)) {
          assertNear(found.grads[param], gradient, `the gradient of ${param}`);
        }
        assertNear(trained!, scores, "the scores in training");
      });
    }
  }

  it("are of nets with 20 layers, and with depthwise convolutions of both strides", () => {
    const convs = (name: string) =>
      Object.values(recorded(`${name}.params.`)).filter(({ shape }) => shape.length === 4);
    // Two of the convolutions are projections.
    assertEquals(convs("resnet20").length + 1, 20 + 2);
    assertEquals(convs("depthwise").filter(({ shape }) => shape[1] === 1).length, 3);
  });
});
