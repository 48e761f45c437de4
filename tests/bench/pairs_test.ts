import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertMatch } from "@std/assert";
import { V8_FLAGS } from "../../bench/vector_pairs.ts";
import { hasAvx2 } from "../support/pairs.ts";
import { isAtLeast, node, nodeVersion } from "../support/node.ts";
import { run } from "../support/command.ts";

const TABLE = /^\| squeezenet: 64x55x55 to 16, 1x1 +\| +\S+ \| +\S+ \| +[\d.]+x \| .*x \|$/m;
const args = ["--only", "squeezenet: 64x55x55", "--budget", "1", "--iterations", "0"];
const version = await nodeVersion(), avx2 = await hasAvx2();

describe("bench/pairs.ts", () => {
  it("times layers by both kinds of vectors", async () => {
    const { code, stdout, stderr } = await run("bench/pairs.ts", args);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, TABLE);
    assertMatch(stdout, /^Deno \S+, V8 \S+: pairs are not faster here\.\n/);
  });

  it("runs in Node 24 and newer", { skip: !isAtLeast(version, 24) }, async () => {
    assertMatch(await node("bench/pairs.ts", ...args), TABLE);
  });
});

describe("--pairs", () => {
  const nets = ["--pairs", "--quick", "--peers", "ours float32", "--only", "fast: 256x3x3"];
  const arguments_ = [...nets, "--batch", "1", "--direction", "fwd"];

  it("says what Deno needs where pairs are not faster", async () => {
    const { code, stdout } = await run("bench/nets.ts", arguments_);
    assertEquals(code, 0);
    assertMatch(stdout, /^Ours runs on single vectors, .*--experimental-wasm-revectorize,/);
  });

  it("takes kernels for pairs where they are", { skip: !avx2 }, async () => {
    const { code, stdout } = await run("bench/nets.ts", arguments_, `--v8-flags=${V8_FLAGS}`);
    assertEquals(code, 0);
    assertMatch(stdout, /^Ours runs on pairs of vectors\.\n/);
    assertMatch(stdout, /\| [a-z-]*pairs +\|/);
  });
});
