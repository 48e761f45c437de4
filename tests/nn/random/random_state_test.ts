import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { RandomState } from "../../../mod.ts";

/** The sum of the array's 32-bit words, modulo 2^32: one wrong bit anywhere changes it. */
function fingerprint(data: Float64Array): number {
  const view = new DataView(new ArrayBuffer(8));
  let sum = 0;
  for (const value of data) {
    view.setFloat64(0, value);
    sum = (sum + view.getUint32(0) + view.getUint32(4)) % 2 ** 32;
  }
  return sum;
}

/**
 * Of numpy 1.24: seed, RandomState(seed).randn(3), and the fingerprints
 * frombuffer(a.tobytes(), "<u4").sum() % 2**32 of randn(100001) and rand(100000).
 */
const streams: readonly [number, number[], number, number][] = [
  [0, [1.764052345967664, 0.4001572083672233, 0.9787379841057392], 484226333, 1863573731],
  [1, [1.6243453636632417, -0.6117564136500754, -0.5281717522634557], 1336974833, 3719575797],
  [42, [0.4967141530112327, -0.13826430117118466, 0.6476885381006925], 801178840, 843145347],
  [231, [0.41794341085522313, 1.3971002787857785, -1.7859043087115503], 699527901, 3230359979],
  [2 ** 31, [0.3184761273282464, -0.34575349241475667, 0.2255674496017024], 1254818427, 3991627694],
  [
    2 ** 32 - 1,
    [0.6484086742306527, 0.6693235306338161, -1.0805437227474493],
    536731749,
    1448392923,
  ],
];

describe("RandomState.randn()", () => {
  for (const [seed, first, normal] of streams) {
    it(`draws numpy's normal numbers for seed ${seed}, to the last bit`, () => {
      const random = new RandomState(seed);
      assertEquals([random.randn(), random.randn(), random.randn()], first);
      assertEquals(fingerprint(new RandomState(seed).randn([100001]).data), normal);
    });
  }

  it("fills a tensor in row-major order, as single draws would", () => {
    const x = new RandomState(231).randn([2, 3, 1, 2]);
    const random = new RandomState(231);
    assertEquals(x.shape, [2, 3, 1, 2]);
    assertEquals([...x.data], Array.from({ length: 12 }, () => random.randn()));
  });

  it("rounds the same numbers for float32", () => {
    const double = new RandomState(231).randn([101]), random = new RandomState(231);
    const single = random.randn([101], "float32");
    assert(single.data instanceof Float32Array);
    assertEquals(single.data, Float32Array.from(double.data));
    const after = new RandomState(231);
    after.randn([101]);
    assertEquals(random.randn(), after.randn());
  });

  it("gives an empty tensor for an empty shape, and one number for no dimension", () => {
    const random = new RandomState(231);
    assertEquals(random.randn([0, 3]).data.length, 0);
    assertEquals([...random.randn([]).data], [0.41794341085522313]);
  });
});

describe("RandomState.rand()", () => {
  for (const [seed, , , uniform] of streams) {
    it(`draws numpy's uniform numbers for seed ${seed}, to the last bit`, () => {
      assertEquals(fingerprint(new RandomState(seed).rand([100000]).data), uniform);
    });
  }
});

describe("RandomState", () => {
  it("draws numpy's numbers when the distributions take turns", () => {
    const random = new RandomState(231);
    const normals = [random.randn(), random.randn(), random.randn()];
    assertEquals(normals, [0.41794341085522313, 1.3971002787857785, -1.7859043087115503]);
    assertEquals([random.rand(), random.rand()], [0.8268882910012595, 0.9034294766039185]);
    // The second of a pair that was drawn before the uniform numbers.
    assertEquals(random.randn(), -0.7088277337845966);
    assertEquals([...random.randint(10, undefined, 12)], [2, 2, 2, 1, 3, 1, 1, 1, 9, 5, 2, 3]);
    assertEquals([...random.randint(-5, 6, 8)], [1, -2, -5, 5, -3, 2, -4, -4]);
    assertEquals([...random.randint(-(2 ** 31), 2 ** 31, 4)], [
      -8864492,
      1928893485,
      678398854,
      1653654112,
    ]);
    // One possible number needs no draw.
    assertEquals([...random.randint(7, 8, 3)], [7, 7, 7]);
    assertEquals(random.randn(), -0.11804964875219938);
    assertEquals([...random.choice(49000, 8)], [
      36934,
      27505,
      27750,
      22703,
      15077,
      45937,
      32087,
      9925,
    ]);
    assertEquals([...random.choice(10, 10, { replace: false })], [2, 6, 3, 7, 8, 1, 4, 0, 5, 9]);
    assertEquals([...random.choice(1000, 5, { replace: false })], [92, 866, 138, 932, 33]);
    assertEquals(random.choice(7), 6);
    assertEquals([...random.choice(7, 1, { replace: false })], [5]);
    assertEquals([...random.permutation(12)], [0, 3, 8, 9, 1, 5, 4, 7, 10, 11, 2, 6]);
    const letters = [..."abcdefgh"];
    random.shuffle(letters);
    assertEquals(letters.join(""), "ahefbcgd");
    const items = [..."abcdefgh"];
    assertEquals(random.choice(items, 6), ["e", "e", "a", "d", "h", "g"]);
    assertEquals(random.choice(items, 3, { replace: false }), ["c", "e", "h"]);
    assertEquals(random.choice(items), "f");
    assertEquals([...random.randn([2]).data], [0.6080955027456136, 1.1519633358974046]);
    assertEquals(random.rand(), 0.8466316135364713);
    assertEquals(random.randint(1000), 750);
  });

  it("permutes a thousand numbers as numpy does, across a renewal of the state", () => {
    const order = new RandomState(231).permutation(1000);
    assertEquals([...order.subarray(0, 5)], [110, 637, 87, 428, 672]);
    assertEquals(order.reduce((sum, value, i) => sum + value * i, 0), 251140140);
    assertEquals(new Set(order).size, 1000);
  });

  it("shuffles typed arrays in place, views too, and touches nothing beside them", () => {
    const all = Float32Array.from({ length: 14 }, (_, i) => i - 1);
    new RandomState(3).shuffle(all.subarray(1, 13));
    assertEquals([all[0], all[13]], [-1, 12]);
    assertEquals([...all.subarray(1, 13)], [...new RandomState(3).permutation(12)]);
  });

  it("continues from a state that went through JSON, cached normal number included", () => {
    const random = new RandomState(231);
    for (let draws = 0; draws < 1300; draws += 13) {
      random.randn([draws % 7]);
      const state = JSON.parse(JSON.stringify(random.getState()));
      const copy = new RandomState(0);
      copy.setState(state);
      assertEquals(copy.getState(), random.getState());
      assertEquals(copy.randn([13]).data, random.randn([13]).data);
      assertEquals(copy.permutation(20), random.permutation(20));
    }
  });

  it("hands out a state that later draws do not change", () => {
    const random = new RandomState(231);
    const state = random.getState(), kept = structuredClone(state);
    random.randn([2000]);
    assertEquals(state, kept);
  });

  it("draws nothing for an empty size", () => {
    const random = new RandomState(231);
    assertEquals(random.randint(0, 10, 0).length, 0);
    assertEquals(random.choice(0, 0).length, 0);
    assertEquals(random.choice([], 0), []);
    assertEquals(random.permutation(0).length, 0);
    assertEquals(random.getState(), new RandomState(231).getState());
  });

  it("refuses seeds that are no 32-bit whole numbers", () => {
    for (const seed of [-1, 2 ** 32, 0.5, NaN, Infinity]) {
      assertThrows(() => new RandomState(seed), RangeError, String(seed));
    }
    for (const seed of ["231", null, undefined, [231]]) {
      assertThrows(() => new RandomState(seed as never), TypeError, "seed must be a number");
    }
  });

  it("refuses bad arguments before it draws", () => {
    const random = new RandomState(231);
    const before = random.getState();
    const bad = <T>(value: T) => value as never;
    assertThrows(() => random.randn([2, -1]), RangeError, "[2,-1]");
    assertThrows(() => random.randn(bad(3)), TypeError, "array of sizes");
    assertThrows(() => random.rand([3], bad("float16")), TypeError, '"float16"');
    assertThrows(() => random.randint(5, 5), RangeError, "low is 5, high is 5");
    assertThrows(() => random.randint(0), RangeError, "low is 0, high is 0");
    assertThrows(() => random.randint(0, 2 ** 31 + 1), RangeError, "2147483649");
    assertThrows(() => random.randint(-(2 ** 31) - 1, 0), RangeError, "-2147483649");
    assertThrows(() => random.randint(0.5, 3), RangeError, "0.5");
    assertThrows(() => random.randint(bad("3")), TypeError, '"3"');
    assertThrows(() => random.randint(0, 3, 1.5), RangeError, "1.5");
    assertThrows(() => random.choice(0), RangeError, "Cannot draw 1 of 0");
    assertThrows(() => random.choice([]), RangeError, "Cannot draw 1 of 0");
    assertThrows(() => random.choice(3, -1), RangeError, "-1");
    assertThrows(
      () => random.choice(3, 4, { replace: false }),
      RangeError,
      "Cannot draw 4 of 3 without replacement",
    );
    assertThrows(() => random.choice(3, 2, bad({ repeat: true })), TypeError, '"repeat"');
    assertThrows(() => random.choice(3, 2, bad({ replace: 1 })), TypeError, "true or false");
    assertThrows(() => random.choice(bad("abc")), TypeError, '"abc"');
    assertThrows(() => random.permutation(-1), RangeError, "-1");
    assertThrows(() => random.permutation(bad([1, 2])), TypeError, "n must be a number");
    assertThrows(() => random.permutation(2 ** 31 + 1), RangeError, "2147483649");
    assertThrows(() => random.shuffle(bad(5)), TypeError, "array");
    assertThrows(() => random.shuffle(bad(null)), TypeError, "null");
    assertEquals(random.getState(), before);
  });

  it("refuses a state that is none, and keeps its own", () => {
    const random = new RandomState(231);
    const good = random.getState();
    const refuse = (state: unknown, error: ErrorConstructor, message: string) =>
      assertThrows(() => random.setState(state as typeof good), error, message);
    refuse(null, TypeError, "null");
    refuse({ ...good, extra: 1 }, TypeError, '"extra"');
    refuse({ ...good, key: good.key.slice(1) }, TypeError, "length 623");
    refuse({ ...good, key: good.key.with(5, 2 ** 32) }, RangeError, "state.key[5]");
    refuse({ ...good, position: 625 }, RangeError, "625");
    refuse({ ...good, position: -1 }, RangeError, "-1");
    refuse({ ...good, gauss: NaN }, TypeError, "NaN");
    refuse({ key: good.key, position: 3 }, TypeError, "state.gauss");
    assertEquals(random.getState(), good);
  });
});
