import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  adam,
  ArgumentRangeError,
  ArgumentTypeError,
  convForward,
  decodeCheckpoint,
  Net,
  type RangeErrorCode,
  Solver,
  type TypeErrorCode,
  zeros,
} from "../../mod.ts";
import type { Loose } from "../support/refusals.ts";
import { data, NoisyNet, quiet } from "../support/small_nets.ts";

/** Calls whose arguments have a wrong type, by the code of their error. */
const typeErrors: Readonly<Record<TypeErrorCode, () => unknown>> = {
  INVALID_TYPE: () => (zeros as Loose)("3"),
  INVALID_DTYPE: () =>
    (convForward as Loose)(zeros([1, 1, 4, 4]), zeros([2, 1, 3, 3], "float32"), null, {}),
  INVALID_RANK: () => convForward(zeros([3, 4, 4]), zeros([2, 3, 3, 3]), zeros([2]), {}),
  UNKNOWN_OPTION: () =>
    (convForward as Loose)(zeros([1, 1, 4, 4]), zeros([2, 1, 3, 3]), null, {
      strides: 1,
    }),
  INVALID_FORMAT: () => decodeCheckpoint(new Uint8Array(100)),
  BUSY: () => {
    const solver = new Solver(new NoisyNet(), data, quiet);
    solver.train({ onProgress: () => solver.train() });
  },
};

/** Calls with numbers that cannot be, by the code of their error. */
const rangeErrors: Readonly<Record<RangeErrorCode, () => unknown>> = {
  INVALID_SIZE: () => convForward(zeros([1, 3, 4, 4]), zeros([2, 1, 3, 3]), zeros([2]), {}),
  OUT_OF_RANGE: () => adam(zeros([2]), zeros([2]), { beta1: 2 }),
};

describe("Errors", () => {
  for (const [code, call] of Object.entries(typeErrors)) {
    it(`tell a program ${code}, and are TypeErrors`, () => {
      const error = assertThrows(call, ArgumentTypeError);
      assertEquals(error.code, code);
      assert(error instanceof TypeError);
      assertEquals(String(error), `TypeError: ${error.message}`);
    });
  }
  for (const [code, call] of Object.entries(rangeErrors)) {
    it(`tell a program ${code}, and are RangeErrors`, () => {
      const error = assertThrows(call, ArgumentRangeError);
      assertEquals(error.code, code);
      assert(error instanceof RangeError);
      assertEquals(String(error), `RangeError: ${error.message}`);
    });
  }
  it("keep their code where a net says which layer they are about", () => {
    const layers = { inputDim: [1, 4, 4], layers: [{ type: "conv", args: [2, { strides: 1 }] }] };
    const rest = { reg: 0, weightScale: 1, dtype: "float64", loss: "softmax" };
    const error = assertThrows(
      () => (Net.fromJSON as Loose)({ ...layers, ...rest }),
      ArgumentTypeError,
    );
    assertEquals(error.code, "UNKNOWN_OPTION");
  });
});
