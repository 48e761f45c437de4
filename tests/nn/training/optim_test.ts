import { describe, it } from "@std/testing/bdd";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  adam,
  adamw,
  linspace,
  type OptimConfig,
  RandomState,
  relError,
  rmsprop,
  sgdMomentum,
  sgdNesterovMomentum,
  type Tensor,
  tensor,
  type UpdateRule,
  type UpdateRuleName,
  updateRules,
  zeros,
} from "../../../mod.ts";

const names = Object.keys(updateRules) as UpdateRuleName[];

/** The course's inputs: w and dw of (4, 5). */
const courseW = () => linspace(-0.4, 0.6, [4, 5]);
const courseDw = () => linspace(-0.6, 0.4, [4, 5]);

/** Twenty steps on random gradients, as the reference computations do them. */
function twentySteps(rule: UpdateRule, config: OptimConfig): Tensor {
  const random = new RandomState(231);
  let w: Tensor = random.randn([3, 4]);
  for (let step = 0; step < 20; step++) {
    const update = rule(w, random.randn([3, 4]), config);
    w = update.nextW;
    config = update.config;
  }
  return w;
}

const sumOf = ({ data }: Tensor, of: (v: number) => number) => {
  let sum = 0;
  for (const v of data) sum += of(v);
  return sum;
};

describe("The update rules match the notebook's tables:", () => {
  it("sgdMomentum()", () => {
    const config = { learningRate: 1e-3, velocity: linspace(0.6, 0.9, [4, 5]) };
    const { nextW } = sgdMomentum(courseW(), courseDw(), config);
    assert(relError(nextW, linspace(0.1406, 1.4096, [4, 5])) < 1e-8);
    assert(relError(config.velocity, linspace(0.5406, 0.8096, [4, 5])) < 1e-8);
  });

  it("sgdNesterovMomentum()", () => {
    const config = { learningRate: 1e-3, velocity: linspace(0.6, 0.9, [4, 5]) };
    const { nextW } = sgdNesterovMomentum(courseW(), courseDw(), config);
    assert(relError(nextW, linspace(0.08714, 1.32824, [4, 5])) < 1e-8);
    assert(relError(config.velocity, linspace(0.5406, 0.8096, [4, 5])) < 1e-8);
  });

  it("rmsprop()", () => {
    const config = { learningRate: 1e-2, cache: linspace(0.6, 0.9, [4, 5]) };
    const { nextW } = rmsprop(courseW(), courseDw(), config);
    // deno-fmt-ignore
    const expected = [
      -0.39223849, -0.34037513, -0.28849239, -0.23659121, -0.18467247,
      -0.132737, -0.08078555, -0.02881884, 0.02316247, 0.07515774,
      0.12716641, 0.17918792, 0.23122175, 0.28326742, 0.33532447,
      0.38739248, 0.43947102, 0.49155973, 0.54365823, 0.59576619,
    ];
    assert(relError(nextW, expected) < 1.5e-7);
    for (let i = 0; i < 20; i++) assertAlmostEquals(nextW.data[i], expected[i], 5.001e-9);
    const cache = linspace(0.6, 0.9, [4, 5]).data.map((c, i) => {
      const d = courseDw().data[i];
      return 0.99 * c + 0.01 * d * d;
    });
    assert(relError(config.cache, cache) < 1e-15);
  });

  it("adam()", () => {
    const config = {
      learningRate: 1e-2,
      m: linspace(0.6, 0.9, [4, 5]),
      v: linspace(0.7, 0.5, [4, 5]),
      t: 5,
    };
    const { nextW } = adam(courseW(), courseDw(), config);
    // deno-fmt-ignore
    const expected = [
      -0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977,
      -0.1380274, -0.08544591, -0.03286534, 0.01971428, 0.0722929,
      0.1248705, 0.17744702, 0.23002243, 0.28259667, 0.33516969,
      0.38774145, 0.44031188, 0.49288093, 0.54544852, 0.59801459,
    ];
    for (let i = 0; i < 20; i++) assertAlmostEquals(nextW.data[i], expected[i], 5.001e-9);
    assertEquals(config.t, 6);
    // Means of evenly spaced values are evenly spaced; those of squares are not.
    assert(relError(config.m, linspace(0.48, 0.85, [4, 5])) < 1e-8);
    assertAlmostEquals(config.v.data[0], 0.69966, 5e-6);
    assertAlmostEquals(config.v.data[19], 0.49966, 5e-6);
  });
});

describe("The update rules follow reference computations over twenty steps:", () => {
  // Sum, sum of squares and last number, of the course's formulas in numpy 1.24 or of PyTorch 1.13.
  const references: readonly [UpdateRuleName, OptimConfig, number, number, number][] = [
    ["sgd", {}, -1.178406843380408, 11.919068932708285, 0.2943965013928701],
    ["sgd", { learningRate: 0.3 }, 12.983633714472456, 30.61723570172047, 0.27957358072088273],
    ["sgdMomentum", {}, 1.5997753382979598, 11.174914376740217, 0.3308096115311463],
    [
      "sgdMomentum",
      { learningRate: 0.3, momentum: 0.5 },
      27.398054779875554,
      110.13514801931456,
      0.5516775766664095,
    ],
    ["sgdNesterovMomentum", {}, 1.7614687236496949, 11.170561863505535, 0.32670827884129156],
    [
      "sgdNesterovMomentum",
      { learningRate: 0.3, momentum: 0.5 },
      27.516037639166864,
      109.81316660893549,
      0.4079585507598593,
    ],
    ["adagrad", {}, -1.538733989798179, 12.159409649475712, 0.28628369810293997],
    [
      "adagrad",
      { learningRate: 0.3, epsilon: 0.1 },
      2.570192574204638,
      11.297277309696943,
      0.06985683537648213,
    ],
    ["rmsprop", {}, -0.35495269160922027, 11.306169940056222, 0.2091683949200143],
    [
      "rmsprop",
      { learningRate: 0.3, decayRate: 0.5, epsilon: 0.1 },
      9.161267479660541,
      23.653580160764836,
      0.10646025907985252,
    ],
    ["adam", {}, -1.6314550668854864, 12.248041444203485, 0.29304716169878386],
    [
      "adam",
      { learningRate: 0.3, beta1: 0.5, beta2: 0.7, epsilon: 0.1 },
      9.94161824719975,
      26.089803261319933,
      0.2045743226421004,
    ],
    ["adamw", {}, -1.6311229107839578, 12.243140003043745, 0.2929886537444841],
    [
      "adamw",
      { learningRate: 0.3, beta1: 0.5, beta2: 0.7, epsilon: 0.1, weightDecay: 0.2 },
      6.785230545004347,
      8.736588881228462,
      0.12685102885439078,
    ],
  ];
  for (const [name, config, sum, squares, last] of references) {
    it(`${name}() with ${JSON.stringify(config)}`, () => {
      const w = twentySteps(updateRules[name], { ...config });
      assertAlmostEquals(sumOf(w, (v) => v), sum, 1e-12);
      assertAlmostEquals(sumOf(w, (v) => v * v), squares, 1e-12);
      assertAlmostEquals(w.data[11], last, 1e-13);
    });
  }

  it("adamw() without decay is adam()", () => {
    const decayed = twentySteps(adamw, { weightDecay: 0 });
    assertEquals(decayed, twentySteps(adam, {}));
  });
});

describe("Every update rule", () => {
  for (const name of names) {
    const rule: UpdateRule = updateRules[name];

    it(`is known by the name it has: ${name}()`, () => {
      assertEquals(rule.name, name);
    });

    it(`works in place and fills in its config: ${name}()`, () => {
      const w = courseW(), dw = courseDw(), config: OptimConfig = {};
      const first = rule(w, dw, config);
      assertStrictEquals(first.nextW, w);
      assertStrictEquals(first.config, config);
      assert(w.data.some((v, i) => v !== courseW().data[i]));
      assertEquals(dw, courseDw());
      assertEquals(typeof config.learningRate, "number");
      // The second step writes into the memory that the first one made.
      const slots = Object.values(config).filter((value) => typeof value === "object");
      const arrays = slots.map((slot) => slot.data);
      const before = arrays.map((data) => data.slice());
      rule(w, dw, config);
      for (const [i, slot] of slots.entries()) {
        assertStrictEquals(slot.data, arrays[i]);
        assert(relError(arrays[i], before[i]) > 0);
      }
      assertEquals(Object.values(config).filter((value) => typeof value === "object"), slots);
    });

    it(`makes a config of its own if none is given: ${name}()`, () => {
      const explicit: OptimConfig = {};
      rule(courseW(), courseDw(), explicit);
      assertEquals(rule(courseW(), courseDw()).config, explicit);
    });

    it(`continues exactly from a config that went through JSON: ${name}()`, () => {
      const random = new RandomState(231);
      const w = random.randn([6]), config: OptimConfig = {};
      for (let step = 0; step < 3; step++) rule(w, random.randn([6]), config);
      const copy: OptimConfig = JSON.parse(
        JSON.stringify(config),
        (key, value) => key === "data" ? Float64Array.from(Object.values(value)) : value,
      );
      const w2 = tensor(w.data.slice(), [6]), dw = random.randn([6]);
      rule(w, dw, config);
      rule(w2, dw, copy);
      assertEquals(w2, w);
      assertEquals(copy, config);
    });

    it(`serves float32, close to float64: ${name}()`, () => {
      const random = new RandomState(231);
      const w = random.randn([50]), single = tensor(Float32Array.from(w.data), [50]);
      const config: OptimConfig = {}, singleConfig: OptimConfig = {};
      for (let step = 0; step < 10; step++) {
        const dw = random.randn([50]);
        rule(w, dw, config);
        rule(single, tensor(Float32Array.from(dw.data), [50]), singleConfig);
      }
      for (const value of Object.values(singleConfig)) {
        if (typeof value === "object") assert(value.data instanceof Float32Array);
      }
      for (let i = 0; i < 50; i++) assertAlmostEquals(single.data[i], w.data[i], 5e-6);
    });

    it(`serves empty parameters, and views into larger arrays: ${name}()`, () => {
      assertEquals(rule(zeros([0, 3]), zeros([0, 3])).nextW, zeros([0, 3]));
      const all = new Float64Array(22).fill(7);
      all.set(courseW().data, 1);
      rule(tensor(all.subarray(1, 21), [4, 5]), courseDw());
      const alone = courseW();
      rule(alone, courseDw());
      assertEquals(all, Float64Array.of(7, ...alone.data, 7));
    });

    it(`refuses bad input before it writes: ${name}()`, () => {
      const w = courseW(), dw = courseDw(), config: OptimConfig = {};
      rule(w, dw, config);
      const keptW = w.data.slice(), keptConfig = structuredClone(config);
      const refuse = (
        error: ErrorConstructor,
        message: string,
        badDw: unknown,
        badConfig: unknown = config,
      ) => {
        assertThrows(() => rule(w, badDw as typeof dw, badConfig as OptimConfig), error, message);
        assertEquals(w.data, keptW);
        assertEquals(config, keptConfig);
      };
      refuse(RangeError, "[4,5]: received [5,4]", zeros([5, 4]));
      refuse(TypeError, "[4,5]: received [20]", zeros([20]));
      refuse(TypeError, "w is float64 [4,5], dw is float32 [4,5]", zeros([4, 5], "float32"));
      refuse(TypeError, "dw must be a tensor", [1, 2]);
      refuse(TypeError, "dw must be a tensor", null);
      refuse(TypeError, '"rate"', dw, { rate: 1 });
      refuse(TypeError, "config must be an object", dw, null);
      refuse(TypeError, '"fast"', dw, { ...config, learningRate: "fast" });
      refuse(RangeError, "NaN", dw, { ...config, learningRate: NaN });
      refuse(RangeError, "-1", dw, { ...config, learningRate: -1 });
      refuse(RangeError, "Infinity", dw, { ...config, learningRate: Infinity });
      for (const share of ["momentum", "decayRate", "beta1", "beta2"] as const) {
        if (!(share in config)) {
          refuse(TypeError, `"${share}"`, dw, { [share]: 0.5 });
          continue;
        }
        refuse(RangeError, `config.${share} must be a number from 0 to 1`, dw, {
          ...config,
          [share]: 1.1,
        });
        if (share.startsWith("beta")) {
          refuse(RangeError, "below 1", dw, { ...config, [share]: 1 });
        }
      }
      if ("t" in config) refuse(RangeError, "1.5", dw, { ...config, t: 1.5 });
      for (const slot of ["velocity", "cache", "m", "v"] as const) {
        if (!(slot in config)) {
          refuse(TypeError, `"${slot}"`, dw, { [slot]: zeros([4, 5]) });
          continue;
        }
        refuse(RangeError, `config.${slot}`, dw, { ...config, [slot]: zeros([4, 6]) });
        refuse(TypeError, `${slot} is float32`, dw, {
          ...config,
          [slot]: zeros([4, 5], "float32"),
        });
        refuse(TypeError, `config.${slot}`, dw, { ...config, [slot]: null });
      }
      assertThrows(() => rule({} as typeof w, dw), TypeError, "w must be a tensor");
    });
  }

  it("lowers a simple loss", () => {
    for (const name of names) {
      const w = new RandomState(231).randn([30]);
      const start = sumOf(w, (v) => v * v);
      let config: OptimConfig = { learningRate: 0.05 };
      for (let step = 0; step < 100; step++) {
        ({ config } = updateRules[name](w, tensor(w.data.map((v) => 2 * v), [30]), config));
      }
      assert(sumOf(w, (v) => v * v) < 0.3 * start, name);
    }
  });
});
