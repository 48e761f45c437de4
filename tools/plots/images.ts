/**
 * Figures of images: filters of a first layer, and examples that were taken for another class.
 *
 * @module
 */

import { encode } from "fast-png";
import type { Tensor } from "../../mod.ts";
import { Plot, ZOOM } from "./drawing.ts";
import { type LegendScale, titledSvg } from "./figure.ts";
import { shortName } from "./names.ts";

/** The most filters and examples that are shown. */
export const MOST_FILTERS = 128, MOST_EXAMPLES = 40;

/** Width of a figure; sides of a filter and of an example in it, and the gaps beside them. */
const WIDTH = 660, FILTER = { side: 44, gap: 8 }, EXAMPLE = { side: 70, gap: 12 };

/** Height of a line of a caption. */
const CAPTION = 14;

/** An image with red, green and blue, row by row. */
interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** An image with what stands below it. */
interface Tile extends Pixels {
  readonly captions: readonly string[];
}

/** Filters of a net's first layer. */
export interface Filters {
  /** The layer: "conv1". */
  readonly layer: string;
  /** (F, C, H, W): C is 3 for red, green and blue, or 1. */
  readonly weights: Tensor;
}

/** The filters of a first layer as SVG. */
export function filtersSvg({ layer, weights }: Filters): string {
  const [F, C, H, W] = weights.shape, size = C * H * W, count = Math.min(F, MOST_FILTERS);
  const all = weights.data.subarray(0, count * size);
  let greatest = 0;
  for (const weight of all) greatest = Math.max(greatest, Math.abs(weight));
  const tiles = Array.from({ length: count }, (_, f) => {
    const filter = all.subarray(f * size, (f + 1) * size);
    const data = C === 3 ? stretched(filter, H * W) : signed(filter, greatest);
    return { width: W, height: H, data, captions: [] };
  });
  const what = `${F.toLocaleString("en")} filter${F === 1 ? "" : "s"} of ${layer}, ${H} x ${W}`;
  const some = count < F ? `, the first ${count}` : "";
  const how = C === 3 ? "; colors go from each filter's least weight to its greatest" : "";
  return tilesSvg({
    title: "First-layer filters",
    subtitle: what + some + how,
    tiles,
    size: FILTER,
    legend: C === 3 ? [] : [signedScale(greatest)],
  });
}

/** Red, green and blue from planes, each image over the whole range of brightness. */
function stretched(planes: Tensor["data"], plane: number): Uint8Array {
  let low = Infinity, high = -Infinity;
  for (const value of planes) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const range = high > low ? high - low : 1;
  return interleaved(planes, plane, (value) => 255 * (value - low) / range);
}

/** Planes of colors, or one of gray, as pixels. */
function interleaved(
  planes: Tensor["data"],
  plane: number,
  byte: (value: number, i: number) => number,
): Uint8Array {
  const channels = planes.length / plane;
  return Uint8Array.from({ length: 3 * plane }, (_, i) => {
    const from = (i % 3 % channels) * plane + Math.floor(i / 3);
    return Math.min(255, Math.max(0, Math.round(byte(planes[from], from))));
  });
}

/** Brown for weights below 0, white for 0, and green-blue above: told apart by all kinds of color vision. */
const diverging = Plot.scale({ color: { type: "diverging", scheme: "BrBG", domain: [-1, 1] } });

/** Weights as colors by their sign. */
function signed(weights: Tensor["data"], greatest: number): Uint8Array {
  const bytes = new Uint8Array(3 * weights.length);
  for (const [i, weight] of weights.entries()) {
    bytes.set(bytesOf(diverging.apply(greatest === 0 ? 0 : weight / greatest)), 3 * i);
  }
  return bytes;
}

/** The bytes of "rgb(1, 2, 3)". */
function bytesOf(color: string): number[] {
  return color.match(/\d+/g)!.map(Number);
}

function signedScale(greatest: number): LegendScale {
  const colors = Array.from({ length: 41 }, (_, i) => diverging.apply(i / 20 - 1));
  const end = greatest.toPrecision(2);
  return { from: `weight −${end}`, to: `${end}, white is 0`, colors };
}

/** An example that was taken for another class. */
export interface WrongExample {
  /** Its pixels, (C, H, W), from 0 to 255; C is 3 for red, green and blue, or 1 for gray. */
  readonly image: Tensor;
  readonly trueClass: string;
  readonly predicted: string;
}

/** Examples that were taken for another class, those first whose score leads that of the true class most. */
export interface WrongExamples {
  readonly examples: readonly WrongExample[];
  /** How many there are in all. */
  readonly count: number;
  /** Of what: "5,000 validation images". */
  readonly of: string;
}

/** Examples that were taken for another class as SVG. */
export function wrongExamplesSvg({ examples, count, of }: WrongExamples): string {
  const tiles = examples.slice(0, MOST_EXAMPLES).map(({ image, trueClass, predicted }) => {
    const { data, shape: [, H, W] } = image;
    const pixels = { width: W, height: H, data: interleaved(data, H * W, (value) => value) };
    return {
      ...reduced(pixels, 2 * EXAMPLE.side),
      captions: [shortName(trueClass, 12), `→ ${shortName(predicted, 10)}`],
    };
  });
  const some = tiles.length < count ? `, the ${tiles.length} with the largest margin` : "";
  return tilesSvg({
    title: "Wrong examples",
    subtitle: count === 0
      ? `none of ${of} was taken for another class`
      : `${count.toLocaleString("en")} of ${of}${some}: true class, → predicted class`,
    tiles,
    size: EXAMPLE,
    legend: [],
  });
}

/** Every few pixels of an image that is too large. */
function reduced(image: Pixels, most: number): Pixels {
  const step = Math.ceil(Math.max(image.width, image.height) / most);
  if (step === 1) return image;
  const width = Math.ceil(image.width / step), height = Math.ceil(image.height / step);
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * step * image.width + x * step) * 3;
      data.set(image.data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return { width, height, data };
}

interface TilesFigure {
  readonly title: string;
  readonly subtitle: string;
  readonly legend: readonly LegendScale[];
  readonly tiles: readonly Tile[];
  readonly size: { readonly side: number; readonly gap: number };
}

/** An image whose pixels are squares of as many as are needed: browsers would smooth a small one. */
function enlarged(image: Pixels, side: number): Pixels {
  const factor = Math.max(1, Math.round(side / Math.max(image.width, image.height)));
  const width = image.width * factor, height = image.height * factor;
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (Math.floor(y / factor) * image.width + Math.floor(x / factor)) * 3;
      data.set(image.data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return { width, height, data };
}

/** Images side by side, each with its captions below. */
function tilesSvg({ tiles, size: { side, gap }, ...figure }: TilesFigure): string {
  const captions = tiles[0]?.captions.length ?? 0;
  const cell = { width: side + gap, height: side + gap + captions * CAPTION };
  const columns = Math.floor(WIDTH / cell.width), rows = Math.ceil(tiles.length / columns);
  const placed = tiles.map((tile, i) => ({
    ...tile,
    left: (i % columns) * cell.width,
    top: gap + Math.floor(i / columns) * cell.height,
  }));
  const lines = placed.flatMap(({ captions, left, top }) =>
    captions.map((text, line) => ({
      ...{ text, x: left + side / 2, y: top + side + 4 + (line + 0.5) * CAPTION },
    }))
  );
  return titledSvg({
    ...figure,
    plot: {
      ...{ width: WIDTH, height: Math.max(1, rows * cell.height + gap) },
      ...{ marginTop: 0, marginRight: 0, marginBottom: 0, marginLeft: 0 },
      x: { type: "identity", axis: null },
      y: { type: "identity", axis: null },
      marks: [
        Plot.image(placed, {
          x: ({ left }) => left + side / 2,
          y: ({ top }) => top + side / 2,
          src: (tile) => dataUrl(enlarged(tile, ZOOM * side)),
          ...{ width: side, height: side },
        }),
        Plot.text(lines, { x: "x", y: "y", text: "text", fontSize: 11 }),
      ],
    },
  });
}

function dataUrl({ width, height, data }: Pixels): string {
  return `data:image/png;base64,${encode({ width, height, channels: 3, data }).toBase64()}`;
}
