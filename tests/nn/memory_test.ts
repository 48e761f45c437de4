import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";

/** Trains a net and prints the bytes that are alive, heap and arrays, after each of some spells. */
const program = `
import { RandomState, Solver, ThreeLayerConvNet } from "${new URL(
  "../../mod.ts",
  import.meta.url,
)}";

const random = new RandomState(0);
const dtype = "float32";
const xTrain = random.randn([200, 3, 16, 16], dtype), yTrain = random.randint(0, 10, 200);
const data = { xTrain, yTrain, xVal: xTrain, yVal: yTrain };
const net = new ThreeLayerConvNet({ inputDim: [3, 16, 16], numFilters: 8, batchnorm: true, dtype, random });
let iteration = 0;
/** Called for every batch. */
function augment() {
  if (++iteration % 250 !== 0) return;
  globalThis.gc({ type: "major", execution: "sync", flavor: "last-resort" });
  const { heapUsed, external } = Deno.memoryUsage();
  console.log(heapUsed + external);
}
new Solver(net, data, {
  updateRule: "adam", batchSize: 20, numEpochs: 100, verbose: false, random, augment,
}).train();
`;

describe("A long training", () => {
  it("keeps no more memory from one iteration to the next", async () => {
    const path = await Deno.makeTempFile({ suffix: ".js" });
    await Deno.writeTextFile(path, program);
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-all", "--v8-flags=--expose-gc", path],
      env: { NO_COLOR: "1" },
    }).output();
    await Deno.remove(path);
    assert(success, new TextDecoder().decode(stderr));
    const bytes = new TextDecoder().decode(stdout).trim().split("\n").map(Number);
    assertEquals(bytes.length, 4);
    // One batch is 61 KB, one set of gradients 210 KB: 500 iterations that kept either would show.
    const growth = bytes[3] - bytes[1];
    assert(growth < 1_000_000, `${growth} bytes in 500 iterations: ${bytes.join(", ")}`);
  });
});
