import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { decode } from "fast-png";
import { full, RandomState, tensor } from "../../../mod.ts";
import {
  accuracySvg,
  gradientNormSvg,
  type Histories,
  learningRateSvg,
  lossSvg,
} from "../../../tools/plots/curves.ts";
import { figureSvg, Plot, toPng, ZOOM } from "../../../tools/plots/drawing.ts";
import { titledSvg } from "../../../tools/plots/figure.ts";
import { filtersSvg, MOST_FILTERS, wrongExamplesSvg } from "../../../tools/plots/images.ts";
import { confusionSvg } from "../../../tools/plots/matrix.ts";
import { shortName } from "../../../tools/plots/names.ts";
import { epochsOf, seriesOf } from "../../../tools/plots/series.ts";
import { logTicks, plainNumber } from "../../../tools/plots/ticks.ts";
import { assertPngOf, axis, corners, elements, parseSvg, texts } from "../../support/svg.ts";

const NONE: Histories = {
  lossHistory: [],
  trainAccHistory: [],
  valAccHistory: [],
  gradNormHistory: [],
  learningRateHistory: [],
};

describe("seriesOf()", () => {
  it("has a point for each iteration where these are few", () => {
    const { points, perPoint, smoothed } = seriesOf([3, 1, NaN, 2]);
    assertEquals([perPoint, smoothed], [1, 1]);
    assertEquals(points.map(({ iteration }) => iteration), [1, 2, 3, 4]);
    for (const key of ["mean", "low", "high", "smooth"] as const) {
      assertEquals(points.map((point) => point[key]), [3, 1, NaN, 2]);
    }
  });

  it("puts iterations together where these are many, and leaves none out", () => {
    const values = Array.from({ length: 2001 }, (_, i) => i);
    values[5] = Infinity;
    const { points, perPoint } = seriesOf(values);
    assertEquals([perPoint, points.length], [4, 501]);
    assertEquals(points[0], { iteration: 4, mean: 1.5, low: 0, high: 3, smooth: points[0].smooth });
    assertEquals([points[1].mean, points[1].low, points[1].high], [(4 + 6 + 7) / 3, 4, 7]);
    assertEquals(points.at(-1)!.iteration, 2001);
    assertEquals(points.at(-1)!.high, 2000);
  });

  it("smooths by the points on both sides", () => {
    const { points, smoothed } = seriesOf(Array.from({ length: 200 }, (_, i) => i % 2 ? NaN : i));
    assertEquals(smoothed, 5);
    assertEquals(points[100].smooth, (98 + 100 + 102) / 3);
    assertEquals(points[0].smooth, 1);
    assertEquals(points[101].smooth, NaN);
  });
});

describe("epochsOf()", () => {
  it("puts the first accuracy after the first iteration, and the others after their epochs", () => {
    assertEquals(epochsOf(4, 20), [0.05, 1, 2, 3]);
    assertEquals(epochsOf(3, 1), [1, 2, 3]);
    assertEquals(epochsOf(0, 5), []);
  });
});

describe("logTicks()", () => {
  it("has as many ticks as there is room for", () => {
    assertEquals(logTicks(2, 9, 12), [2, 3, 4, 5, 6, 7, 8, 9]);
    assertEquals(logTicks(0.04, 3, 12), [0.05, 0.1, 0.2, 0.5, 1, 2]);
    assertEquals(logTicks(0.04, 3, 5), [0.1, 1]);
    assertEquals(logTicks(1e-3, 1e3, 3), [1e-3, 1e-2, 1e-1, 1, 10, 100, 1000]);
  });
});

describe("plainNumber()", () => {
  it("has no prefixes of units", () => {
    const values = [0, 0.002, 0.1 + 0.2, 1500, 1e-7, -2.5];
    assertEquals(values.map(plainNumber), ["0", "0.002", "0.3", "1,500", "1e-7", "-2.5"]);
  });
});

describe("curves", () => {
  const lossHistory = Array.from({ length: 300 }, (_, i) => 2.5 * 0.98 ** i);

  it("show every loss where it is, on axes with names and units", () => {
    const root = parseSvg(lossSvg({ ...NONE, lossHistory }));
    const labels = texts(root);
    for (const label of ["Loss", "iteration →", "↑ loss (nats)", "each iteration"]) {
      assert(labels.includes(label), label);
    }
    assert(labels.includes("mean of 7 iterations"));
    const [each, smooth] = elements(root, "path").filter((path) =>
      path.getAttribute("d")!.length > 1000
    );
    const [x, y] = [axis(root, "x"), axis(root, "y", true)];
    assertEquals([corners(each).length, corners(smooth).length], [300, 300]);
    for (const [i, place] of corners(each).entries()) {
      assertAlmostEquals(x(place[0]), i + 1, 2e-3);
      assertAlmostEquals(y(place[1]) / lossHistory[i], 1, 1e-3);
    }
  });

  it("have a gap where a norm is not known", () => {
    const gradNormHistory = [NaN, NaN, 3, 4, NaN, 5, 6];
    const root = parseSvg(gradientNormSvg({ ...NONE, gradNormHistory }));
    const [path] = elements(root, "path").filter((path) =>
      path.getAttribute("d")!.includes("L", 12)
    );
    assertEquals(path.getAttribute("d")!.match(/[MLZ]/g)!.join(""), "MLML");
    const [x, y] = [axis(root, "x"), axis(root, "y")];
    const seen = corners(path).map(([atX, atY]) => [Math.round(x(atX)), y(atY)] as const);
    assertEquals(seen.map(([iteration]) => iteration), [3, 4, 6, 7]);
    for (const [i, [, norm]] of seen.entries()) assertAlmostEquals(norm, 3 + i, 1e-3);
  });

  it("show the least and the greatest of iterations that are drawn together", () => {
    const history = Array.from({ length: 1500 }, (_, i) => 10 + i % 3);
    const root = parseSvg(lossSvg({ ...NONE, lossHistory: history }));
    assert(texts(root).includes("least to greatest of 3 iterations"));
    const [area] = elements(root, "g", { "aria-label": "area" });
    const y = axis(root, "y");
    const heights = corners(area.getElementsByTagName("path")[0]).map(([, at]) => y(at));
    assertAlmostEquals(Math.min(...heights), 10, 1e-3);
    assertAlmostEquals(Math.max(...heights), 12, 1e-3);
  });

  it("show accuracies by epochs, in percent, and the best", () => {
    const histories = { ...NONE, trainAccHistory: [0.1, 0.5, 1], valAccHistory: [0.2, 0.75, 0.5] };
    const root = parseSvg(accuracySvg(histories, 10));
    assert(texts(root).includes("best validation accuracy 75.0 % after epoch 1"));
    const lines = elements(root, "g", { "aria-label": "line" });
    const [x, y] = [axis(root, "x"), axis(root, "y")];
    const seen = lines.map((line) =>
      corners(line.getElementsByTagName("path")[0]).flatMap(([atX, atY]) => [x(atX), y(atY)])
    );
    for (const [i, expected] of [[0.1, 10, 1, 50, 2, 100], [0.1, 20, 1, 75, 2, 50]].entries()) {
      for (const [j, value] of expected.entries()) assertAlmostEquals(seen[i][j], value, 1e-3);
    }
  });

  it("show a learning rate from 0 on, in plain numbers", () => {
    const root = parseSvg(learningRateSvg({ ...NONE, learningRateHistory: [0.002, 0.001, 0] }));
    const labels = texts(root);
    assert(labels.includes("0.002") && labels.includes("0") && labels.includes("↑ learning rate"));
    const tiny = parseSvg(learningRateSvg({ ...NONE, learningRateHistory: [2e-7, 1e-7] }));
    assert(texts(tiny).includes("2e-7"), texts(tiny).join());
  });

  it("stand what is empty, has one value, or none that is finite", () => {
    const values: readonly (readonly number[])[] = [[], [1], [NaN], [NaN, NaN], [0, 0], [Infinity]];
    for (const history of values) {
      const histories = {
        ...{ lossHistory: history, gradNormHistory: history, learningRateHistory: history },
        ...{ trainAccHistory: [], valAccHistory: [] },
      };
      for (const svg of [lossSvg, gradientNormSvg, learningRateSvg].map((f) => f(histories))) {
        assertPngOf(toPng(svg), svg, ZOOM);
        assert(!svg.includes("NaN"), svg);
      }
    }
    const none = accuracySvg(NONE, 5);
    assertPngOf(toPng(none), none, ZOOM);
    assert(texts(parseSvg(none)).includes("not measured yet"));
  });
});

describe("confusionSvg()", () => {
  const classes = ["cat", "<dog> & co", "a bird with a name"];
  const counts = [[8, 2, 0], [0, 5, 5], [1, 0, 0]];

  it("shows every count, true classes as rows, and names as they are", () => {
    const root = parseSvg(confusionSvg({ counts, classes, of: "21 validation images" }));
    const labels = texts(root);
    for (const label of ["true class", "predicted class", "21 validation images"]) {
      assert(labels.includes(label), label);
    }
    for (const name of ["cat", "<dog> & co", "a bird with a…"]) {
      assertEquals(labels.filter((label) => label === name).length, 2, name);
    }
    const cells = elements(root, "g", { "aria-label": "cell" })[0];
    assertEquals(cells.getElementsByTagName("rect").length, 9);
    const [numbers] = elements(root, "g", { "aria-label": "text" });
    const found = Array.from(numbers.getElementsByTagName("text"));
    assertEquals(found.map(({ textContent }) => textContent), ["8", "2", "5", "5", "1"]);
    // The 2 is right of the 8.
    const places = found.map((text) =>
      text.getAttribute("transform")!.match(/[\d.]+/g)!.map(Number)
    );
    assert(places[1][0] > places[0][0] && places[1][1] === places[0][1]);
  });

  it("is darker for a larger part of a class", () => {
    const root = parseSvg(confusionSvg({ counts, classes, of: "" }));
    const cells = elements(root, "g", { "aria-label": "cell" })[0].getElementsByTagName("rect");
    const brightness = Array.from(
      cells,
      (cell) =>
        cell.getAttribute("fill")!.match(/\d+/g)!.reduce((sum, part) => sum + Number(part), 0),
    );
    // Parts 0.8, 0.2, 0; 0, 0.5, 0.5; 1, 0, 0.
    assert(brightness[6] < brightness[0] && brightness[0] < brightness[4]);
    assert(brightness[4] === brightness[5] && brightness[5] < brightness[1]);
    assert(brightness[1] < brightness[2] && brightness[2] === brightness[3]);
  });

  it("shows the classes that are mistaken most often, where these are many", () => {
    const many = Array.from({ length: 40 }, (_, i) => `class ${i}`);
    const wrong = many.map((_, r) => many.map((_, c) => r === c ? 9 : r >= 10 && c >= 10 ? 1 : 0));
    const svg = confusionSvg({ counts: wrong, classes: many, of: "x" });
    const labels = texts(parseSvg(svg));
    assert(labels.includes("x; the 30 classes most often mistaken"));
    assert(labels.includes("class 10") && labels.includes("class 39"));
    assert(!labels.includes("class 9"));
    assertPngOf(toPng(svg), svg, ZOOM);
  });
});

describe("shortName()", () => {
  it("cuts a long name, by letters", () => {
    assertEquals([shortName("automobile", 10), shortName("automobile", 9)], [
      "automobile",
      "automobi…",
    ]);
    assertEquals(shortName("🐱🐶🐦", 2), "🐱…");
  });
});

/** The images of a figure. */
function imagesOf(svg: string) {
  return elements(parseSvg(svg), "image").map((image) => {
    const url = image.getAttribute("href") ?? image.getAttribute("xlink:href")!;
    assertMatch(url, /^data:image\/png;base64,/);
    return decode(Uint8Array.fromBase64(url.split(",")[1]));
  });
}

describe("filtersSvg()", () => {
  it("shows weights of one channel by their sign, with the scale of all", () => {
    const weights = tensor(Float64Array.of(-2, 0, 1, 2), [1, 1, 2, 2]);
    const svg = filtersSvg({ layer: "conv1", weights });
    const [{ width, data }] = imagesOf(svg);
    const at = (row: number, column: number) => {
      const [y, x] = [row, column].map((part) => Math.floor((part + 0.5) * width / 2));
      const pixel = 3 * (y * width + x);
      return Array.from(data.subarray(pixel, pixel + 3));
    };
    const [negative, zero, half, positive] = [at(0, 0), at(0, 1), at(1, 0), at(1, 1)];
    assert(zero.every((part) => part > 230), `${zero}`);
    assert(negative[0] > negative[2] && positive[2] > positive[0], `${negative} ${positive}`);
    assert(half[0] > positive[0] && half[0] < zero[0], `${half}`);
    const labels = texts(parseSvg(svg));
    assert(labels.includes("weight −2.0") && labels.includes("2.0, white is 0"));
    assert(labels.includes("1 filter of conv1, 2 x 2"));
  });

  it("shows weights of three channels as colors, and no more filters than fit", () => {
    const weights = new RandomState(0).randn([MOST_FILTERS + 2, 3, 3, 3]);
    weights.data.set([1, 0, 0, 0, 0, 0, 0, 0, 0], 0); // red, above left
    weights.data.fill(0, 9, 27);
    const svg = filtersSvg({ layer: "conv1", weights });
    const images = imagesOf(svg);
    assertEquals(images.length, MOST_FILTERS);
    assertEquals(Array.from(images[0].data.subarray(0, 3)), [255, 0, 0]);
    assertEquals(Array.from(images[0].data.slice(-3)), [0, 0, 0]);
    assertPngOf(toPng(svg), svg, ZOOM);
  });

  it("stands filters that are all one number", () => {
    for (const C of [1, 3]) {
      const svg = filtersSvg({ layer: "conv1", weights: full([2, C, 2, 2], 0) });
      assertEquals(imagesOf(svg).length, 2);
    }
  });
});

describe("wrongExamplesSvg()", () => {
  it("shows images with both classes, and says how many there are", () => {
    const image = tensor(Float64Array.of(0, 300, -5, 128), [1, 2, 2]);
    const examples = [{ image, trueClass: "a<b", predicted: "c&d" }];
    const svg = wrongExamplesSvg({ examples, count: 3, of: "9 validation images" });
    const labels = texts(parseSvg(svg));
    assert(labels.includes("a<b") && labels.includes("→ c&d"));
    assert(
      labels.includes(
        "3 of 9 validation images, the 1 with the largest margin: true class, → predicted class",
      ),
    );
    const [{ width, data }] = imagesOf(svg), last = data.slice(-3);
    assertEquals([data[0], data[3 * (width - 1)]], [0, 255]);
    assertEquals(Array.from(last), [128, 128, 128]);
    assertPngOf(toPng(svg), svg, ZOOM);
  });

  it("makes a large image smaller, and says so if nothing is wrong", () => {
    const image = full([3, 500, 400], 77);
    const svg = wrongExamplesSvg({
      ...{ examples: [{ image, trueClass: "a", predicted: "b" }], count: 1, of: "x" },
    });
    const [{ width, height, data }] = imagesOf(svg);
    assert(height < 250 && width < height);
    assert(data.every((value) => value === 77));
    const none = wrongExamplesSvg({ examples: [], count: 0, of: "9 validation images" });
    assertPngOf(toPng(none), none, ZOOM);
    assert(none.includes("none of 9 validation images was taken for another class"));
  });
});

describe("titledSvg()", () => {
  it("tells readers who cannot see it its title", () => {
    const svg = titledSvg({ title: "A & B", subtitle: "c", plot: { marks: [Plot.frame()] } });
    const root = parseSvg(svg);
    assertEquals(root.getAttribute("role"), "img");
    assertEquals(elements(root, "title")[0].textContent, "A & B");
    // It is as much higher as its title takes.
    const plain = Number(parseSvg(figureSvg({ marks: [Plot.frame()] })).getAttribute("height"));
    assert(Number(root.getAttribute("height")) > plain + 20);
  });
});
