import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { features } from "../../tools/features.ts";

/** The cells of the rows that begin with some cells. */
function rows(...start: string[]): string[][] {
  return features().split("\n").filter((line) => line.startsWith("| "))
    .map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()))
    .filter((cells) => start.every((cell, i) => cells[i] === cell));
}

describe("features()", () => {
  const both = "float64, float32";
  it("says which tiers run each pass, in which data types", () => {
    const start = ["`conv`", "3x5"];
    assertEquals(
      rows(...start),
      ["forward", "dx", "dw, db"].map((pass) => [...start, pass, both, "-", both]),
    );
    assertEquals(rows("`maxPool`", "2x2, dilation 2", "dx").map((row) => row.slice(3)), [[
      ...["-", "-", both],
    ]]);
  });
  it("lists each forward function with its backward and naive forms", () => {
    assertEquals(rows("`batchnormForward`"), [
      ["`batchnormForward`", "`batchnormBackward`, `batchnormBackwardAlt`", "-"],
    ]);
    assertEquals(rows("`convForward`").map((row) => row[2]), [
      "`convForwardNaive`, `convBackwardNaive`",
    ]);
  });
  it("lists losses, update rules, layers and nets", () => {
    const text = features();
    for (const name of ["softmaxLoss", "adamw", "residual", "ThreeLayerConvNet"]) {
      assert(text.includes(`\`${name}\``), name);
    }
  });
});
