import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  evalNumericalGradient,
  evalNumericalGradientArray,
  full,
  gradCheckSparse,
  linspace,
  RandomState,
  relError,
  type Tensor,
  tensor,
  zeros,
} from "../../../mod.ts";

function sumOfCubes({ data }: Tensor): number {
  let sum = 0;
  for (const v of data) sum += v ** 3;
  return sum;
}

const threeSquares = ({ data, shape }: Tensor): Tensor => ({
  data: Float64Array.from(data, (v) => 3 * v * v),
  shape,
});
const squares = ({ data, shape }: Tensor): Tensor => ({ data: data.map((v) => v * v), shape });

/** A function that throws when it is called for the nth time. */
function throwsAt<T>(n: number, f: (x: Tensor) => T): (x: Tensor) => T {
  let calls = 0;
  return (x) => {
    if (++calls === n) throw new Error("stop");
    return f(x);
  };
}

describe("evalNumericalGradient()", () => {
  it("finds the gradient of a sum of cubes", () => {
    const x = new RandomState(231).randn([3, 4, 2]);
    const gradient = evalNumericalGradient(sumOfCubes, x);
    assertEquals(gradient.shape, [3, 4, 2]);
    assert(relError(gradient, threeSquares(x)) < 1e-6);
  });

  it("gives numpy's number for the course's formula", () => {
    // x = 0.3; ((x + 1e-5)**3 - (x - 1e-5)**3) / (2 * 1e-5)
    const x = full([1], 0.3), cube = ({ data: [v] }: Tensor) => v * v * v;
    assertEquals(evalNumericalGradient(cube, x).data[0], 0.27000000010039826);
  });

  it("takes another step", () => {
    const x = full([1], 2);
    const gradient = evalNumericalGradient(sumOfCubes, x, 0.5);
    // The error of a central difference of a cube is h^2.
    assertAlmostEquals(gradient.data[0], 12.25, 1e-12);
  });

  it("serves float32 with a step that suits it", () => {
    const x = new RandomState(231).randn([10], "float32");
    const gradient = evalNumericalGradient(sumOfCubes, x, 1e-2);
    assert(gradient.data instanceof Float32Array);
    assert(relError(gradient, threeSquares(x)) < 1e-2);
  });

  it("leaves x as it was, also when the function throws", () => {
    const x = new RandomState(231).randn([5]), before = x.data.slice();
    evalNumericalGradient(sumOfCubes, x);
    assertEquals(x.data, before);
    for (const n of [1, 2, 5, 10]) {
      assertThrows(() => evalNumericalGradient(throwsAt(n, sumOfCubes), x), Error, "stop");
      assertEquals(x.data, before);
    }
  });

  it("gives an empty gradient for an empty tensor, without a call", () => {
    const never = () => {
      throw new Error("called");
    };
    assertEquals(evalNumericalGradient(never, zeros([0, 3])).shape, [0, 3]);
  });

  it("refuses bad arguments", () => {
    const x = linspace(0, 1, [3]), bad = <T>(value: T) => value as never;
    assertThrows(() => evalNumericalGradient(bad(3), x), TypeError, "f must be a function");
    assertThrows(() => evalNumericalGradient(sumOfCubes, bad([1, 2])), TypeError, "x must be");
    assertThrows(() => evalNumericalGradient(sumOfCubes, x, 0), RangeError, "received 0");
    assertThrows(() => evalNumericalGradient(sumOfCubes, x, NaN), RangeError, "NaN");
    assertThrows(() => evalNumericalGradient(sumOfCubes, x, bad("1")), TypeError, '"1"');
    assertThrows(() => evalNumericalGradient(bad(squares), x), TypeError, "must return a number");
    assertEquals(x, linspace(0, 1, [3]));
  });
});

describe("evalNumericalGradientArray()", () => {
  it("finds the gradient of squares, weighted by the output's gradient", () => {
    const random = new RandomState(231);
    const x = random.randn([3, 4]), dout = random.randn([3, 4]);
    const expected = x.data.map((v, i) => 2 * v * dout.data[i]);
    assert(relError(evalNumericalGradientArray(squares, x, dout), expected) < 1e-8);
  });

  it("sums over an output of another shape", () => {
    const x = linspace(-1, 1, [4]), dout = full([2, 4], 1);
    const twice = ({ data }: Tensor): Tensor => tensor(Float64Array.of(...data, ...data), [2, 4]);
    assert(relError(evalNumericalGradientArray(twice, x, dout), full([4], 2)) < 1e-8);
  });

  it("is right for a function that returns x, and for one that reuses its output", () => {
    const x = new RandomState(231).randn([6]), dout = new RandomState(232).randn([6]);
    assert(relError(evalNumericalGradientArray((x) => x, x, dout), dout) < 1e-8);
    const out = zeros([6]);
    const reuse = ({ data }: Tensor) => {
      data.forEach((v, i) => out.data[i] = 2 * v);
      return out;
    };
    assert(
      relError(evalNumericalGradientArray(reuse, x, dout), dout.data.map((v) => 2 * v)) < 1e-8,
    );
  });

  it("leaves x as it was, also when the function throws or returns something else", () => {
    const x = new RandomState(231).randn([5]), before = x.data.slice(), df = full([5], 1);
    evalNumericalGradientArray(squares, x, df);
    assertEquals(x.data, before);
    for (const n of [1, 2, 5, 10]) {
      assertThrows(() => evalNumericalGradientArray(throwsAt(n, squares), x, df), Error, "stop");
      assertEquals(x.data, before);
    }
    const bad = () => 3 as never;
    assertThrows(() => evalNumericalGradientArray(bad, x, df), TypeError, "What f returns");
    assertThrows(
      () => evalNumericalGradientArray(squares, x, full([4], 1)),
      RangeError,
      "the shape of df, [4]: received [5]",
    );
    assertThrows(() => evalNumericalGradientArray(squares, x, [1] as never), TypeError, "df must");
    assertEquals(x.data, before);
  });
});

describe("gradCheckSparse()", () => {
  it("compares as many values as asked for, and names where they stand", () => {
    const x = new RandomState(231).randn([3, 4, 5]), gradient = threeSquares(x);
    const checks = gradCheckSparse(sumOfCubes, x, gradient, 50);
    assertEquals(checks.length, 50);
    for (const { index: [i, j, k], numerical, analytic, relError: error } of checks) {
      assertEquals(analytic, gradient.data[(i * 4 + j) * 5 + k]);
      assertAlmostEquals(numerical, analytic, 1e-7);
      assertEquals(error, relError([numerical], [analytic]));
      assert(error < 1e-5);
    }
    assert(new Set(checks.map(({ index }) => index.join())).size > 20);
  });

  it("shows a wrong gradient", () => {
    const x = full([4], 1);
    for (const check of gradCheckSparse(sumOfCubes, x, full([4], -3))) {
      assertEquals(check.analytic, -3);
      assertAlmostEquals(check.relError, 1, 1e-6);
    }
  });

  it("draws from the random state that it is given", () => {
    const x = linspace(1, 2, [100]), gradient = threeSquares(x);
    const checks = gradCheckSparse(sumOfCubes, x, gradient, 7, 1e-5, new RandomState(231));
    assertEquals(checks.map(({ index: [i] }) => i), [...new RandomState(231).choice(100, 7)]);
    assertEquals(gradCheckSparse(sumOfCubes, x, gradient).length, 10);
  });

  it("leaves x as it was, and refuses bad arguments", () => {
    const x = linspace(1, 2, [2, 3]), gradient = threeSquares(x);
    gradCheckSparse(sumOfCubes, x, gradient);
    assertThrows(() => gradCheckSparse(throwsAt(2, sumOfCubes), x, gradient), Error, "stop");
    assertThrows(
      () => gradCheckSparse(sumOfCubes, x, zeros([3, 2])),
      RangeError,
      "the shape of x, [2,3]: received [3,2]",
    );
    assertThrows(() => gradCheckSparse(sumOfCubes, x, gradient, 0.5), RangeError, "0.5");
    assertThrows(() => gradCheckSparse(sumOfCubes, zeros([0]), zeros([0])), RangeError, "10 of 0");
    assertEquals(x, linspace(1, 2, [2, 3]));
  });
});

describe("relError()", () => {
  it("is the largest |a - b| / max(1e-8, |a| + |b|)", () => {
    assertEquals(relError([1, 2, 3], [1, 2, 3]), 0);
    assertEquals(relError([1, 2, -3], [1, 1, -1]), 0.5);
    assertEquals(relError([1e-9], [0]), 1e-9 / 1e-8);
    assertEquals(relError([0], [0]), 0);
    assertEquals(relError([1], [-1]), 1);
  });

  it("takes tensors and arrays of any kind, both dtypes", () => {
    const a = tensor(Float32Array.of(1, 2), [1, 2]), b = tensor(Float64Array.of(1, 4), [1, 2]);
    assertEquals(relError(a, b), 1 / 3);
    assertEquals(relError(a, Int32Array.of(1, 4)), 1 / 3);
    assertEquals(relError([1, 4], a), 1 / 3);
  });

  it("is NaN where there is a NaN, wherever it stands", () => {
    for (const at of [0, 1, 2]) {
      const a = [5, 6, 7].with(at, NaN);
      assertEquals(relError(a, [1, 2, 3]), NaN);
      assertEquals(relError([1, 2, 3], a), NaN);
      assertEquals(relError(a, a), NaN);
    }
    assertEquals(relError([Infinity], [1]), NaN);
    assertEquals(relError([Infinity], [Infinity]), NaN);
  });

  it("is 0 for empty results", () => {
    assertEquals(relError(zeros([0, 3]), zeros([0, 3])), 0);
  });

  it("refuses what cannot be compared", () => {
    const bad = <T>(value: T) => value as never;
    assertThrows(() => relError(zeros([2, 3]), zeros([3, 2])), RangeError, "[2,3]: received [3,2]");
    assertThrows(() => relError(zeros([6]), zeros([3, 2])), TypeError, "[6]: received [3,2]");
    assertThrows(() => relError(zeros([6]), [1, 2]), RangeError, "6: received 2");
    assertThrows(() => relError(bad(null), [1]), TypeError, "a must be a tensor or an array");
    assertThrows(() => relError([1], bad(undefined)), TypeError, "b must be");
    assertThrows(() => relError([1], bad("1")), TypeError, '"1"');
    assertThrows(() => relError([1], bad(["1"])), TypeError, "array of numbers");
    assertThrows(() => relError(bad(1), bad(1)), TypeError, "received 1");
  });
});
