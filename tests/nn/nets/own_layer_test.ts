import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  affine,
  conv,
  decodeCheckpoint,
  encodeCheckpoint,
  evalNumericalGradientArray,
  type LayerDefinition,
  maxPool,
  Net,
  RandomState,
  relError,
  relu,
  residual,
  sequential,
  Solver,
  type Tensor,
  tensor,
  zeros,
} from "../../../mod.ts";
import { assertAllGradients, lone } from "../../support/planned.ts";

/** A relu with a learned slope below 0 for each channel: He et al., 2015. */
function prelu(slope = 0.25): LayerDefinition {
  return {
    type: "prelu",
    args: [slope],
    plan: (inShape) => ({
      outShape: inShape,
      params: { a: { shape: [inShape[0]], init: slope } },
      forward(x, { a }) {
        const plane = inShape.slice(1).reduce((product, size) => product * size, 1);
        const slopeAt = (i: number) => a.data[Math.floor(i / plane) % a.data.length];
        const out = tensor(x.data.map((v, i) => v > 0 ? v : v * slopeAt(i)), x.shape);
        function backward(dout: Tensor) {
          const dx = tensor(dout.data.map((d, i) => x.data[i] > 0 ? d : d * slopeAt(i)), x.shape);
          const da = tensor(a.data.map(() => 0), a.shape);
          dout.data.forEach((d, i) => {
            const channel = Math.floor(i / plane) % da.data.length;
            da.data[channel] += d * Math.min(0, x.data[i]);
          });
          return { dx, grads: { a: da } };
        }
        return { out, backward };
      },
    }),
  };
}

const y = [0, 2, 1, 0];
const make = (random?: RandomState) =>
  new Net({
    inputDim: [2, 6, 6],
    layers: [
      ...[conv(3), prelu(), maxPool(2), residual(sequential(conv(3), prelu(0.1)))],
      ...[affine(5), prelu(), affine(3)],
    ],
    random,
  });

describe("A layer of one's own: a learned PReLU", () => {
  it("is in docs/nets.md as it is here", async () => {
    const read = (path: string) => Deno.readTextFile(new URL(path, import.meta.url));
    const [document, test] = await Promise.all([
      read("../../../docs/nets.md"),
      read("own_layer_test.ts"),
    ]);
    const code = (text: string) => text.match(/^function prelu[^]*?^}$/m)?.[0];
    assert(code(document) !== undefined);
    assertEquals(code(document), code(test));
    assert(code(test)!.split("\n").length <= 25);
  });

  it("has right gradients, alone and in a net", () => {
    for (const inShape of [[3, 4, 5], [7]]) {
      const { forward, params, grads } = lone(prelu(), inShape);
      const x = new RandomState(1).randn([2, ...inShape]);
      const { out, backward } = forward(x);
      const dout = new RandomState(2).randn(out.shape);
      const { dx } = backward(dout, {});
      const run = () => forward(x).out;
      assert(relError(dx!, evalNumericalGradientArray(run, x, dout)) < 1e-7);
      assert(relError(grads.a1, evalNumericalGradientArray(run, params.a1, dout)) < 1e-7);
    }
    assertAllGradients(make(), new RandomState(3).randn([4, 2, 6, 6]), y);
  });

  it("has parameters with names in the net, and goes through JSON by its name", () => {
    const net = make();
    assertEquals(Object.keys(net.params).join(" "), "W1 b1 a1 W2 b2 a2 W3 b3 a3 W4 b4");
    assertEquals([...net.params.a2.data], [0.1, 0.1, 0.1]);
    const description = JSON.parse(JSON.stringify(net));
    const copy = Net.fromJSON(description, { layers: { prelu } });
    assertEquals(copy.params, net.params);
    const x = new RandomState(3).randn([4, 2, 6, 6]);
    assertEquals(copy.loss(x, y), net.loss(x, y));
    assertThrows(() => Net.fromJSON(description), TypeError, "layers[1].type must be a layer of");
  });

  it("learns, and continues from a checkpoint to the same bits", () => {
    const random = new RandomState(5);
    const x = random.randn([12, 2, 6, 6]), labels = random.randint(0, 3, 12);
    const data = { xTrain: x, yTrain: labels, xVal: x, yVal: labels };
    const solver = () =>
      new Solver(make(), data, { numEpochs: 4, batchSize: 6, updateRule: "adam", verbose: false });
    const straight = solver(), first = solver(), resumed = solver();
    straight.train();
    let bytes: Uint8Array | undefined;
    first.train({ onCheckpoint: (checkpoint) => void (bytes ??= encodeCheckpoint(checkpoint)) });
    resumed.resume(decodeCheckpoint(bytes!));
    resumed.train();
    assertEquals(resumed.model.params, straight.model.params);
    assert(straight.model.params.a1.data.some((a) => a !== 0.25));
  });
});

describe("A layer of one's own that is wrong", () => {
  const x = zeros([2, 4]), labels = [0, 1];
  /** A net with a layer whose plan is changed. */
  const net = (plan: object) => () => {
    const layer: LayerDefinition = {
      type: "own",
      plan: (inShape) => ({
        outShape: inShape,
        params: { a: { shape: [1], init: 1 } },
        forward: (x) => ({ out: x, backward: (dout) => ({ dx: dout, grads: { a: zeros([1]) } }) }),
        ...plan,
      }),
    };
    return new Net({ inputDim: 4, layers: [affine(3), relu(), layer, affine(2)] });
  };
  const back = (result: object) => ({
    forward: (x: Tensor) => ({ out: x, backward: () => result }),
  });

  it("is told what is wrong, and where", () => {
    net({})().loss(x, labels);
    const wrong: readonly (readonly [object, string])[] = [
      [{ outShape: [5] }, "layers[2].own's output must have the shape of its plan, [2,5]"],
      [back({}), "layers[2].own's da must be a tensor"],
      [back({ grads: { a: zeros([2]) } }), "layers[2].own's da must have the shape of a, [1]"],
      [back({ grads: { a: zeros([1]) } }), "layers[2].own's dx must be a tensor"],
      [
        back({ grads: { a: zeros([1]) }, dx: x }),
        "layers[2].own's dx must have the shape of its input",
      ],
    ];
    for (const [plan, message] of wrong) {
      assertThrows(() => net(plan)().loss(x, labels), Error, message);
    }
  });

  it("is refused when the net is made if its names or its errors are wrong", () => {
    const params = { W2: { shape: [1], init: 0 } };
    assertThrows(net({ params }), TypeError, "layers[2].own: A parameter's name must be letters");
    const state = { a: { shape: [1], init: 0 } };
    assertThrows(net({ state }), TypeError, 'name must be letters, and its own: received "a"');
    const throws: LayerDefinition = {
      type: "own",
      plan() {
        throw new RangeError("too wide");
      },
    };
    const layers = [residual(throws), affine(2)];
    assertThrows(
      () => new Net({ inputDim: 4, layers }),
      RangeError,
      "layers[0].residual.branch.own: too wide",
    );
    const own: LayerDefinition = { ...throws, plan: relu().plan, args: [new Map()] };
    const made = new Net({ inputDim: 4, layers: [own, affine(2)] });
    assertThrows(() => made.toJSON(), TypeError, "layers[0].own.args[0] must be plain data");
  });
});
