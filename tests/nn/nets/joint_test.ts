import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  affine,
  batchnorm,
  concat,
  conv,
  dropout,
  flatten,
  type JointBatch,
  type LayerDefinition,
  maxPool,
  Net,
  RandomState,
  relu,
  residual,
  type Tensor,
  tensor,
} from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";

const N = 4, COUNT = 3;
const x = new RandomState(0).randn([COUNT * N, 2, 6, 6]);
const y = Array.from({ length: COUNT * N }, (_, i) => i % 3);

/** The images as batches that go together. */
const batches: JointBatch<Float64Array>[] = Array.from({ length: COUNT }, (_, i) => ({
  x: tensor(x.data.slice(i * N * 72, (i + 1) * N * 72), [N, 2, 6, 6]),
  y: y.slice(i * N, (i + 1) * N),
}));

const alone = { gather: (own: Float64Array) => own };

function made(...layers: readonly LayerDefinition[]): Net {
  return new Net({ inputDim: [2, 6, 6], layers, reg: 0.01, random: new RandomState(1) });
}

const deep = () =>
  made(
    ...[conv(4), batchnorm(), relu(), residual(conv(4)), concat(conv(2), conv(3)), maxPool(2)],
    ...[flatten(), affine(5), batchnorm(), relu(), affine(3)],
  );

describe("LayeredNet.loss()", () => {
  it("tells each gradient once, the penalty added, before those of the layers before it", () => {
    const told = new Map<string, Float64Array>(), net = deep();
    const frozen = new Set(["W2"]);
    const { grads } = net.loss(x, y, {
      frozen,
      onGradient: (name, { data }) => {
        assert(!told.has(name), name);
        told.set(name, Float64Array.from(data));
      },
    });
    assertEquals([...told.keys()], Object.keys(grads));
    assertEquals([...told.keys()].slice(0, 4), ["W6", "b6", "gamma5", "beta5"]);
    for (const [name, data] of told) assertSameBits(grads[name].data, data, name);
  });
});

describe("LayeredNet.losses()", () => {
  it("gives what one large batch gives, running statistics included", () => {
    const whole = deep(), parts = deep();
    const expected = whole.loss(x, y), results = parts.losses(batches, alone);
    const mean = (of: (i: number) => number) => {
      let sum = 0;
      for (let i = 0; i < COUNT; i++) sum += of(i);
      return sum / COUNT;
    };
    assertAlmostEquals(mean((i) => results[i].loss), expected.loss, 1e-14);
    for (const [name, { data }] of Object.entries(expected.grads)) {
      for (const [k, value] of data.entries()) {
        assertAlmostEquals(mean((i) => results[i].grads[name].data[k]), value, 1e-14, name);
      }
    }
    const { statistics } = parts.getState();
    for (const [name, { data }] of Object.entries(whole.getState().statistics)) {
      for (const [k, value] of data.entries()) {
        assertAlmostEquals(statistics[name].data[k], value, 1e-15, name);
      }
    }
  });

  it("gives each batch what it gives alone, if there is no batch normalization", () => {
    const net = () => made(conv(4), relu(), dropout(0.7), maxPool(2), flatten(), affine(3));
    const results = net().losses(
      batches.map((batch, i) => ({ ...batch, random: new RandomState(i) })),
      alone,
    );
    for (const [i, { x, y }] of batches.entries()) {
      const one = net();
      one.setState({ statistics: {}, random: new RandomState(i).getState() });
      assertSameBits(results[i], one.loss(x, y), `batch ${i}`);
    }
  });

  it("has the same bits whoever has the batches, and in every iteration", () => {
    const expected = deep().losses(batches, alone);
    const net = deep();
    // What another process gathers is known from a run that has all batches.
    const gathered: Float64Array[] = [];
    net.losses(batches, { gather: (own) => (gathered.push(own.slice()), own) });
    const first = deep(), told: string[] = [];
    let at = 0;
    const [own] = first.losses(batches.slice(0, 1), {
      gather: (own) => {
        const all = gathered[at++];
        assertSameBits(own, all.subarray(0, own.length));
        return all;
      },
      onGradient: (i, name) => told.push(`${i} ${name}`),
    });
    assertEquals(at, gathered.length);
    assertSameBits(own, expected[0]);
    assertEquals(told, Object.keys(own.grads).map((name) => `0 ${name}`));
    const again = deep(), before = again.getState();
    again.losses(batches, alone);
    again.setState(before);
    assertSameBits(again.losses(batches, alone), expected);
  });

  it("leaves out frozen parameters", () => {
    const [{ grads }] = deep().losses(batches, { ...alone, frozen: new Set(["gamma1", "W2"]) });
    const all = Object.keys(deep().loss(x, y).grads);
    assertEquals(Object.keys(grads), all.filter((name) => name !== "gamma1" && name !== "W2"));
  });

  it("refuses batches of different sizes, before it writes", () => {
    const net = deep(), before = net.getState();
    const small = { x: tensor(x.data.slice(0, 72), [1, 2, 6, 6]), y: [0] };
    assertThrows(
      () => net.losses([...batches, small], alone),
      RangeError,
      "the shape of the first batch's",
    );
    assertThrows(() => net.losses([{ ...batches[0], y: [0] }], alone), RangeError);
    assertEquals(net.getState(), before);
  });

  it("refuses layers that hide others, or have one gradient for all batches", () => {
    /** A layer around another one. */
    const around = (named: boolean, own: boolean): LayerDefinition => ({
      type: "around",
      plan(inShape, planner) {
        const inner = planner.plan(batchnorm(), ".inner", inShape);
        return {
          outShape: inShape,
          ...named && { parts: [inner] },
          ...own && { params: { scale: { shape: [1], init: 1 } } },
          forward: (x: Tensor, _, run) => {
            const pass = inner.forward(x, run);
            return {
              out: pass.out,
              backward: (dout, options) => ({
                dx: pass.backward(dout, options).dx,
                ...own && { grads: { scale: tensor(Float64Array.of(0), [1]) } },
              }),
            };
          },
        };
      },
    });
    const net = (named: boolean, own: boolean) => made(around(named, own), flatten(), affine(3));
    assert(net(true, false).losses(batches, alone).length === COUNT);
    assertThrows(
      () => net(false, false).losses(batches, alone),
      TypeError,
      "can be synchronized only if the plans of the layers around it name their parts",
    );
    assertThrows(
      () => net(true, true).losses(batches, alone),
      TypeError,
      "layers[0].around must give gradients of each batch: jointGrads",
    );
  });
});
