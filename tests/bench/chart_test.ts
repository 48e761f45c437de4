import { after, describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { type SpeedUp, speedUpSvg } from "../../bench/chart.ts";
import { workloads } from "../../bench/peers/peer.ts";
import { toPng, ZOOM } from "../../tools/plots/drawing.ts";
import { assertRefused, run } from "../support/command.ts";
import { assertPngOf, elements, parseSvg, texts } from "../support/svg.ts";

const SCRIPT = "bench/table.ts";
const folder = await Deno.makeTempDir();

describe("speedUpSvg()", () => {
  it("has a dot for each tier where its speed-up is, and says the greatest", () => {
    const [workload] = workloads, of = { workload, direction: "fwd", dtype: "float32" } as const;
    const speedUps: SpeedUp[] = [
      { ...of, tier: "generated", times: 20 },
      { ...of, tier: "simd", times: 5 },
    ];
    const svg = speedUpSvg(speedUps), root = parseSvg(svg), labels = texts(root);
    assertPngOf(toPng(svg), svg, ZOOM);
    for (const label of ["times as fast as the naive loops →", "forward", "float32", "20.0x"]) {
      assert(labels.includes(label), `${label} is not among ${labels}`);
    }
    assert(labels.includes("S1 conv 3x3 of 3x31x31, stride 2") && !labels.includes("5.0x"));
    const dots = elements(root, "g", { "aria-label": "dot" });
    const placeOf = (dot: typeof dots[number]) => {
      const [mark] = [...elements(dot, "circle"), ...elements(dot, "path")];
      const center = mark.getAttribute("cx") ?? /translate\(([-\d.]+)/.exec(
        mark.getAttribute("transform")!,
      )![1];
      return Number(center);
    };
    assertEquals(dots.length, 2);
    const [generated, simd] = dots.map(placeOf),
      [one] = elements(root, "g", {
        "aria-label": "rule",
      });
    const at = Number(elements(one, "line")[0].getAttribute("x1"));
    // On a logarithmic scale: log 20 / log 5 times as far from 1.
    assertAlmostEquals((generated - at) / (simd - at), Math.log(20) / Math.log(5), 1e-3);
  });
});

describe("deno task bench --plot", () => {
  after(() => Deno.remove(folder, { recursive: true }));
  const quick = ["--only", "S2", "--images", "1", "--budget", "1"];

  it("writes a chart of the table as SVG or PNG", async () => {
    for (const name of ["chart.svg", "chart.png"]) {
      const { code, stdout, stderr } = await run(SCRIPT, [...quick, "--plot", `${folder}/${name}`]);
      assertEquals(code, 0, stderr);
      assertMatch(stdout, /\n\| S2 \| fwd \| float64 /);
    }
    const svg = await Deno.readTextFile(`${folder}/chart.svg`), root = parseSvg(svg);
    assert(texts(root).includes("S2 max-pool 2x2 of 3x32x32, stride 2"), texts(root).join());
    // One beside the fastest of each panel; the axis may have such numbers too.
    const numbers = elements(root, "g", { "aria-label": "text" }).flatMap(texts);
    assertEquals(numbers.length, 4, numbers.join());
    for (const number of numbers) assertMatch(number, /^\d+\.\dx$/);
    assertPngOf(await Deno.readFile(`${folder}/chart.png`), svg, ZOOM);
  });

  it("refuses a file that cannot be written, before it measures", async () => {
    await assertRefused(
      SCRIPT,
      ["--plot", "chart.pdf"],
      '--plot must be a file that ends in .svg or .png: received "chart.pdf"',
    );
    await Deno.mkdir(`${folder}/folder.svg`);
    await assertRefused(
      SCRIPT,
      ["--plot", `${folder}/folder.svg`],
      `${folder}/folder.svg must be a file: it is a folder`,
    );
    await Deno.writeTextFile(`${folder}/file`, "");
    const { code, stderr } = await run(SCRIPT, ["--plot", `${folder}/file/chart.svg`]);
    assertEquals(code, 2);
    assertMatch(stderr, /^Error: \S+file cannot be written: .*\n$/);
  });
});
