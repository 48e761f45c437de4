import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  affine,
  batchnorm,
  conv,
  dropout,
  FullyConnectedNet,
  Net,
  RandomState,
  relu,
  residual,
  sequential,
  type Tensor,
  zeros,
} from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";

const layers = [
  ...[conv(4, { bias: false }), batchnorm(), relu()],
  ...[residual(sequential(conv(4), batchnorm())), dropout(0.5), affine(3)],
];
const inputDim = [2, 5, 5];

/** A net that has been trained for a step, so that its running statistics are not 0. */
function trained(seed = 1) {
  const net = new Net({ inputDim, layers, random: new RandomState(seed) });
  net.loss(new RandomState(seed).randn([4, ...inputDim]), [0, 1, 2, 0]);
  return net;
}

const x = new RandomState(9).randn([3, ...inputDim]);

describe("state() and loadState()", () => {
  it("carry parameters and running statistics to a net that then gives the same bits", () => {
    const from = trained(), to = new Net({ inputDim, layers });
    assertEquals(to.loadState(from.state()), { missing: [], extra: [] });
    assertSameBits(to.predict(x), from.predict(x));
    assertSameBits(to.state(), from.state());
    const names = ["gamma1", "runningMean1", "runningVar2", "W2", "b3"];
    assert(names.every((name) => Object.hasOwn(from.state(), name)));
    const course = () => new FullyConnectedNet([5], { inputDim: 6, normalization: "batchnorm" });
    const net = course(), other = course();
    net.loss(new RandomState(0).randn([4, 6]), [0, 1, 2, 3]);
    other.loadState(net.state());
    assertSameBits(other.state(), net.state());
  });

  it("copy, so that neither net nor record changes with another", () => {
    const from = trained(), to = new Net({ inputDim, layers });
    const record = from.state(), before = from.predict(x);
    to.loadState(record);
    for (const { data } of Object.values(record)) data.fill(7);
    assertSameBits(from.predict(x), before);
    assertSameBits(to.predict(x), before);
    // Nets that share their parameters' arrays part where one of them is loaded.
    const sharing = new Net({ inputDim, layers });
    Object.assign(sharing.params, from.params);
    sharing.loadState(trained(2).state());
    assertSameBits(from.predict(x), before);
  });

  it("round values to the net's dtype", () => {
    const from = trained(), to = new Net({ inputDim, layers, dtype: "float32" });
    to.loadState(from.state());
    assertEquals(to.params.W1.data, Float32Array.from(from.params.W1.data));
    const { runningVar1 } = to.state();
    assertEquals(runningVar1.data, Float32Array.from(from.state().runningVar1.data));
    const back = new Net({ inputDim, layers });
    back.loadState(to.state());
    assertEquals(back.params.W1.data, Float64Array.from(to.params.W1.data));
  });

  it("name every missing, extra and wrongly shaped tensor in one error, and write nothing", () => {
    const net = trained(), before = net.state();
    const { W1: _, runningVar2: _v, ...rest } = trained(2).state();
    const wrong: Record<string, Tensor> = {
      ...rest,
      W3: zeros([3, 100]),
      b3: zeros([3, 1]),
      "fc.weight": zeros([1]),
      constructor: zeros([1]),
    };
    const error = assertThrows(() => net.loadState(wrong), TypeError);
    assertEquals(
      error.message,
      "record must fit the net; missing: W1, runningVar2; extra: fc.weight, constructor; " +
        "of a wrong shape: W3 [3,100] for [100,3], b3 [3,1] for [3]",
    );
    assertSameBits(net.state(), before);
    const { W3, ...others } = trained(2).state();
    const sized = { ...others, W3: zeros([...W3.shape].reverse()) };
    const message = "record must fit the net; of a wrong shape: W3 [3,100] for [100,3]";
    for (const strict of [true, false]) {
      assertThrows(() => net.loadState(sized, { strict }), RangeError, message);
    }
    const { W1: _w, ...fewer }: Record<string, Tensor> = sized;
    assertThrows(() => net.loadState(fewer, { strict: false }), RangeError, message);
    assertThrows(() => net.loadState({ ...others, W3: [1] } as never), TypeError, "record.W3 must");
    assertThrows(() => net.loadState(null as never), TypeError, "record must be an object");
    assertThrows(() => net.loadState({}, { strict: 1 } as never), TypeError, "strict must be true");
    assertThrows(() => net.loadState({}, { srict: true } as never), TypeError, '"srict"');
    assertSameBits(net.state(), before);
  });

  it("take what is there where strict is false, and tell what is not", () => {
    const net = trained(), before = net.state(), from = trained(2).state();
    const { gamma1, runningMean2 } = from;
    const record = { runningMean2, gamma1, "fc.bias": zeros([1]), toString: zeros([1]) };
    const { missing, extra } = net.loadState(record, { strict: false });
    assertEquals(extra, ["fc.bias", "toString"]);
    const kept = Object.keys(before).filter((name) => !["gamma1", "runningMean2"].includes(name));
    assertEquals(missing, kept);
    assertSameBits(net.state(), { ...before, gamma1, runningMean2 });
  });
});
