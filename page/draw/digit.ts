/**
 * A drawn digit as MNIST's are: scaled to fit 20 x 20 pixels with its proportions kept, drawn with
 * soft edges, and moved so that its center of mass is the middle of 28 x 28.
 *
 * Source: http://yann.lecun.com/exdb/mnist/, "The original black and white images ...".
 *
 * @module
 */

/** A point of a stroke, in any unit. */
export type Point = readonly [x: number, y: number];

/** The points of a line that was drawn without lifting the pen. */
export type Stroke = readonly Point[];

/** Rows and columns of the result. */
export const SIDE = 28;

/** The box that a digit is scaled to. */
const BOX = 20;

/** How thick a line is, in pixels of the result: that of most of MNIST's digits. */
const PEN = 2.4;

/** A digit of a smaller extent than this part of the pen's width is a dot: it is not scaled up. */
const DOT = 1e-6;

/**
 * The image of a drawing.
 *
 * @param strokes What was drawn.
 * @returns SIDE * SIDE bytes, white on black: 0 where nothing is.
 */
export function digitOf(strokes: readonly Stroke[]): Uint8Array {
  const points = strokes.flat();
  if (points.length === 0) return new Uint8Array(SIDE * SIDE);
  const fitted = fit(strokes, points);
  // Drawn twice: where the mass is shows where the digit belongs.
  const [x, y] = centerOfMass(drawn(fitted));
  const middle = SIDE / 2 - 0.5, dx = middle - x, dy = middle - y;
  return drawn(fitted.map((stroke) => stroke.map(([x, y]): Point => [x + dx, y + dy])));
}

/** Strokes scaled so that they fill the box, pen included, in the middle of the image. */
function fit(strokes: readonly Stroke[], points: readonly Point[]): readonly Stroke[] {
  const [left, right] = extent(points.map(([x]) => x));
  const [top, bottom] = extent(points.map(([, y]) => y));
  const size = Math.max(right - left, bottom - top);
  const scale = size < DOT ? 1 : (BOX - PEN) / size, middle = SIDE / 2 - 0.5;
  const cx = (left + right) / 2, cy = (top + bottom) / 2;
  return strokes.map((stroke) =>
    stroke.map(([x, y]): Point => [middle + (x - cx) * scale, middle + (y - cy) * scale])
  );
}

function extent(values: readonly number[]): readonly [least: number, most: number] {
  return [Math.min(...values), Math.max(...values)];
}

/** Strokes as an image: a pixel is as bright as its distance from the nearest line leaves it. */
function drawn(strokes: readonly Stroke[]): Uint8Array {
  const image = new Uint8Array(SIDE * SIDE), segments = strokes.flatMap(segmentsOf);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      let nearest = Infinity;
      for (const segment of segments) nearest = Math.min(nearest, distance([x, y], segment));
      const covered = Math.min(Math.max(PEN / 2 + 0.5 - nearest, 0), 1);
      image[y * SIDE + x] = Math.round(255 * covered);
    }
  }
  return image;
}

type Segment = readonly [from: Point, to: Point];

/** The lines between a stroke's points; a point by itself is a line of no length. */
function segmentsOf(stroke: Stroke): readonly Segment[] {
  if (stroke.length === 1) return [[stroke[0], stroke[0]]];
  return stroke.slice(1).map((to, i): Segment => [stroke[i], to]);
}

/** How far a point is from a line. */
function distance([x, y]: Point, [[x0, y0], [x1, y1]]: Segment): number {
  const dx = x1 - x0, dy = y1 - y0, squares = dx * dx + dy * dy;
  const along = squares === 0 ? 0 : ((x - x0) * dx + (y - y0) * dy) / squares;
  const part = Math.min(Math.max(along, 0), 1);
  return Math.hypot(x - x0 - part * dx, y - y0 - part * dy);
}

function centerOfMass(image: Uint8Array): Point {
  let mass = 0, sumX = 0, sumY = 0;
  for (const [i, value] of image.entries()) {
    mass += value;
    sumX += value * (i % SIDE);
    sumY += value * Math.floor(i / SIDE);
  }
  return mass === 0 ? [SIDE / 2 - 0.5, SIDE / 2 - 0.5] : [sumX / mass, sumY / mass];
}
