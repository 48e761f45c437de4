/**
 * Images as PNG files.
 *
 * @module
 */

import { encode } from "fast-png";
import figlet from "figlet";
import { type Tensor, visualizeGrid } from "../../mod.ts";

/** Pixels of a sheet for one pixel of an image, and for one of a caption's letters. */
const PICTURE_SCALE = 3, LETTER_SCALE = 2;
/** Rows of a caption's letters, those below the line among them. */
const LETTER_ROWS = 6;
const MARGIN = 4;

/** Pixels with red, green and blue, row by row. */
interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/**
 * Writes filters or images side by side into a PNG.
 *
 * @param path The file.
 * @param xs Filters or images, (N, 3, H, W) or (N, 1, H, W).
 * @param scale How many pixels wide and high each of theirs becomes.
 */
export async function writeGrid(path: string, xs: Tensor, scale: number): Promise<void> {
  await writePng(path, enlarge(toPixels(visualizeGrid(xs, 255, 1, "NCHW")), scale));
}

/** An image with what a net takes it for. */
export interface Caption {
  readonly text: string;
  /** Right ones are green, wrong ones red. */
  readonly right: boolean;
}

/**
 * Writes images with a caption under each into a PNG.
 *
 * @param path The file.
 * @param xs Images, (N, C, H, W).
 * @param captions One per image.
 * @param columns How many side by side.
 */
export async function writeCaptioned(
  path: string,
  xs: Tensor,
  captions: readonly Caption[],
  columns: number,
): Promise<void> {
  const [N, C, H, W] = xs.shape;
  const cellWidth = W * PICTURE_SCALE + MARGIN;
  const cellHeight = H * PICTURE_SCALE + LETTER_ROWS * LETTER_SCALE + MARGIN;
  const width = Math.min(N, columns) * cellWidth + MARGIN;
  const height = Math.ceil(N / columns) * cellHeight + MARGIN;
  const sheet = { width, height, data: new Uint8Array(width * height * 3) };
  for (let n = 0; n < N; n++) {
    const left = MARGIN + (n % columns) * cellWidth;
    const top = MARGIN + Math.floor(n / columns) * cellHeight;
    const data = xs.data.subarray(n * C * H * W, (n + 1) * C * H * W);
    const one = visualizeGrid({ data, shape: [1, C, H, W] }, 255, 0, "NCHW");
    paste(enlarge(toPixels(one), PICTURE_SCALE), sheet, left, top);
    const caption = enlarge(letters(captions[n], W * PICTURE_SCALE / LETTER_SCALE), LETTER_SCALE);
    paste(caption, sheet, left, top + H * PICTURE_SCALE);
  }
  await writePng(path, sheet);
}

/** A caption in small letters; what is too wide is cut. */
function letters({ text, right }: Caption, room: number): Pixels {
  const color = right ? [120, 255, 120] : [255, 120, 120];
  const width = Math.floor(room), height = LETTER_ROWS;
  const data = new Uint8Array(width * height * 3);
  const rows = figlet.textSync(text, { font: "3x5" }).split("\n").slice(0, height);
  for (const [y, row] of rows.entries()) {
    for (let x = 0; x < Math.min(row.length, width); x++) {
      if (row[x] === "#") data.set(color, (y * width + x) * 3);
    }
  }
  return { width, height, data };
}

/** Numbers (H, W, 1 or 3) from 0 to 255 as pixels; gray becomes equal red, green and blue. */
function toPixels({ data, shape: [height, width, C] }: Tensor): Pixels {
  const pixels = new Uint8Array(height * width * 3);
  for (let i = 0; i < pixels.length; i++) {
    const value = C === 3 ? data[i] : data[Math.floor(i / 3) * C];
    pixels[i] = Math.round(value);
  }
  return { width, height, data: pixels };
}

function enlarge({ width, height, data }: Pixels, scale: number): Pixels {
  const large = { width: width * scale, height: height * scale };
  const pixels = new Uint8Array(large.width * large.height * 3);
  for (let y = 0; y < large.height; y++) {
    for (let x = 0; x < large.width; x++) {
      const from = (Math.floor(y / scale) * width + Math.floor(x / scale)) * 3;
      pixels.set(data.subarray(from, from + 3), (y * large.width + x) * 3);
    }
  }
  return { ...large, data: pixels };
}

function paste(from: Pixels, to: Pixels, left: number, top: number): void {
  for (let y = 0; y < from.height; y++) {
    const row = from.data.subarray(y * from.width * 3, (y + 1) * from.width * 3);
    to.data.set(row, ((top + y) * to.width + left) * 3);
  }
}

async function writePng(path: string, { width, height, data }: Pixels): Promise<void> {
  await Deno.writeFile(path, encode({ width, height, data, channels: 3 }));
}
