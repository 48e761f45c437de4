/**
 * How a kernel is cut for Winograd's F(2, 3): windows of three taps that start two apart, so that all of
 * them meet the same tiles of inputs, each window one tile further than the window before.
 *
 * Along each direction a window of taps a, b, c becomes the four numbers a, (a + b + c) / 2,
 * (a - b + c) / 2 and c. Windows overlap by a tap, which belongs to one of the two; a window without a tap
 * needs fewer than four numbers. So 3, 5 and 7 taps take 4, 7 and 10 products for two outputs, where the
 * definition takes 6, 10 and 14.
 *
 * @module
 */

/** The four numbers of a window: how much of each tap. */
const TRANSFORM = [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]] as const;

/** A number of a window, along one direction: a sum of taps. */
export interface Part {
  /** Which of the four. */
  readonly component: number;
  readonly window: number;
  readonly terms: readonly { readonly tap: number; readonly scale: number }[];
}

/** The window of a tap and its place there: even taps, which two windows share, go to them by turns. */
function placeOf(tap: number, taps: number): { window: number; place: number } {
  if (tap % 2 === 1) return { window: (tap - 1) / 2, place: 1 };
  const leads = tap === 0 || (tap % 4 === 0 && tap < taps - 1);
  return leads ? { window: tap / 2, place: 0 } : { window: tap / 2 - 1, place: 2 };
}

/** How many windows three or more taps are cut into. */
export function windowCount(taps: number): number {
  return Math.floor(taps / 2);
}

/** Every number of every window: by component, then by window. */
function partsOf(taps: number): Part[] {
  const places = Array.from({ length: taps }, (_, tap) => ({ tap, ...placeOf(tap, taps) }));
  return TRANSFORM.flatMap((scales, component) =>
    Array.from({ length: windowCount(taps) }, (_, window) => ({
      component,
      window,
      terms: places.filter((it) => it.window === window && scales[it.place] !== 0)
        .map(({ tap, place }) => ({ tap, scale: scales[place] })),
    })).filter(({ terms }) => terms.length > 0)
  );
}

/** One of the 16 planes of transformed numbers: what its tiles are multiplied with. */
export interface WindowPlane {
  readonly y: readonly Part[];
  readonly x: readonly Part[];
  /** Products of the planes before it. Its own are those of each part of y with each part of x. */
  readonly before: number;
}

/** The 16 planes of a kernel, row by row of a tile. */
export function windowPlanes(KH: number, KW: number): WindowPlane[] {
  const ys = partsOf(KH), xs = partsOf(KW);
  let before = 0;
  return TRANSFORM.flatMap((_, row) =>
    TRANSFORM.map((_, column) => {
      const y = ys.filter(({ component }) => component === row);
      const x = xs.filter(({ component }) => component === column);
      const plane = { y, x, before };
      before += y.length * x.length;
      return plane;
    })
  );
}

/** Products of a plane for each filter and channel. */
export function planeProducts({ y, x }: WindowPlane): number {
  return y.length * x.length;
}

/** Products of all planes for each filter and channel: of a tile of 2x2 outputs. */
export function tileProducts(planes: readonly WindowPlane[]): number {
  return planes.reduce((sum, plane) => sum + planeProducts(plane), 0);
}
