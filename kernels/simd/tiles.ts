/**
 * The schedules as data: how outputs are cut into tiles that fit the registers.
 *
 * Measured on x86-64 with 16 vector registers: a tile of f filters and v vectors keeps f*v sums and v
 * inputs in registers beside two for weights, and runs at the speed of the multipliers as long as that
 * is at most 15; beyond, the compiler spills. Fewer than 8 sums leave the multipliers waiting.
 *
 * @module
 */

/** Some sizes in a row that are equal. */
export interface Run {
  readonly size: number;
  readonly times: number;
}

/** Cuts a total into the fewest pieces of at most `most`, as even as can be, larger ones first. */
export function evenRuns(total: number, most: number): Run[] {
  const pieces = Math.ceil(total / most);
  const size = Math.floor(total / pieces);
  const larger = total % pieces;
  const runs = [{ size: size + 1, times: larger }, { size, times: pieces - larger }];
  return runs.filter((run) => run.times > 0);
}

/** Every piece's size, one after the other. */
export function pieces(runs: readonly Run[]): number[] {
  return runs.flatMap(({ size, times }) => Array<number>(times).fill(size));
}

/** Taps that are written out; a kernel with more is looped over by rows. */
export const MAX_UNROLLED_TAPS = 16;

/** Taps of a depthwise kernel, which are all written out. */
export const DEPTHWISE_TAPS = 49;

/** The largest stride of a depthwise kernel: all phases of its gradient are written out. */
export const DEPTHWISE_STRIDE = 4;

/** Weights of a depthwise kernel that stay in registers beside the sums. */
export const RESIDENT_TAPS = 9;

/** Filters of a convolution's tile: five and two vectors of outputs is the best that fits. */
const FILTERS = 5;
/** The same beside two pairs of vectors. */
const PAIRED_FILTERS = 6;

/**
 * Cuts filters into fives and a rest; a rest of one makes two threes with the last five. Even pieces would
 * often be fours, whose eight sums leave the multipliers no slack: they run a tenth slower than fives. Beside
 * pairs all do alike.
 */
export function filterBlocks(filters: number, pairs: boolean): Run[] {
  if (pairs) return evenRuns(filters, PAIRED_FILTERS);
  const rest = filters % FILTERS;
  const fives = (filters - rest) / FILTERS;
  const runs = rest === 1 && fives > 0
    ? [{ size: FILTERS, times: fives - 1 }, { size: 3, times: 2 }]
    : [{ size: FILTERS, times: fives }, { size: rest, times: rest === 0 ? 0 : 1 }];
  return runs.filter(({ times }) => times > 0);
}

/**
 * Vectors, or pairs of vectors, of a tile for 1, 2, ... filters. A single filter's inputs need no registers of
 * their own.
 */
const VECTORS = [[7, 8, 6], [4], [3], [2], [2], [2]];

/** The size of a register tile. */
export interface Tile {
  readonly filters: number;
  /** Vectors of outputs beside the filters, or taps of a weight gradient. */
  readonly width: number;
}

/** Some columns of a tile: vectors that start at these numbers of the row. */
export interface ColumnTile {
  readonly columns: readonly number[];
  /** How often, each time as many vectors further. */
  readonly times: number;
}

/** Some rows of tiles. */
export interface RowTile {
  readonly rows: number;
  readonly times: number;
  readonly tiles: readonly ColumnTile[];
}

/** Filters of a tile, and how their planes of outputs are cut. */
export interface TileBlock extends Run {
  readonly rows: readonly RowTile[];
}

/** The tiles of a convolution's output, by the rule or of a given size. */
export function convTiles(
  filters: number,
  rows: number,
  columns: number,
  { lanes, pairs }: { readonly lanes: number; readonly pairs: boolean },
  tile?: Tile,
): TileBlock[] {
  // A row shorter than a pair has no place for one.
  const paired = pairs && columns >= 2 * lanes;
  const blocks = tile === undefined
    ? filterBlocks(filters, paired)
    : evenRuns(filters, tile.filters);
  return blocks.map((run) => {
    const [best] = (tile === undefined ? VECTORS[run.size - 1] : [tile.width])
      .map((vectors) => rowTiles(run.size, vectors, rows, columns, paired ? 2 * lanes : lanes))
      .sort((a, b) => a.cost - b.cost);
    return { ...run, rows: paired ? inPairs(best.tiles, columns, lanes) : best.tiles };
  });
}

/**
 * Writes tiles of pairs, whose columns are where pairs start, as tiles of vectors. A last pair whose first
 * vector is the second one of the pair before would tear that apart: its second vector stays alone.
 */
function inPairs(rows: readonly RowTile[], columns: number, lanes: number): RowTile[] {
  const alone = columns % (2 * lanes) === lanes ? columns - 2 * lanes : -1;
  const vectorsOf = (start: number) => start === alone ? [] : [start];
  return rows.map(({ tiles, ...rest }) => ({
    ...rest,
    tiles: tiles.map(({ columns, times }) => ({
      columns: columns.flatMap((start) => [...vectorsOf(start), start + lanes]),
      times,
    })),
  }));
}

/** An estimate of a tile's time, in cycles a weight: arithmetic and loads, or the multipliers' latency. */
function tileCost(block: number, vectors: number): number {
  return Math.max(4, (block * vectors + 2 * vectors + block) / 2);
}

/** The cheapest way to cut rows into tiles of v vectors: 1 row x v, 2 x v/2 ... v x 1. */
function rowTiles(
  block: number,
  vectors: number,
  rows: number,
  columns: number,
  lanes: number,
): { tiles: RowTile[]; cost: number } {
  let best: { tiles: RowTile[]; cost: number } = { tiles: [], cost: rows === 0 ? 0 : Infinity };
  for (let height = 1; height <= Math.min(rows, vectors); height++) {
    if (vectors % height !== 0) continue;
    const tiles = columnTiles(vectors / height, columns, lanes);
    const times = Math.floor(rows / height);
    const rest = rows % height === 0
      ? { tiles: [], cost: 0 }
      : rowTiles(block, vectors, rows % height, columns, lanes);
    const perRow = tiles.reduce(
      (sum, tile) => sum + tile.times * tileCost(block, height * tile.columns.length),
      0,
    );
    const cost = times * perRow + rest.cost;
    if (cost < best.cost) {
      best = { tiles: [{ rows: height, times, tiles }, ...rest.tiles], cost };
    }
  }
  return best;
}

/**
 * Cuts a row into tiles of some vectors. Where the row's length is not a multiple of the lanes, the last
 * vector starts earlier and computes some numbers again; a row shorter than a vector is one vector.
 */
function columnTiles(width: number, columns: number, lanes: number): ColumnTile[] {
  const starts: number[] = [];
  for (let x = 0; x + lanes <= columns; x += lanes) starts.push(x);
  const whole = starts.length;
  if (columns % lanes !== 0) starts.push(Math.max(0, columns - lanes));
  const tiles: ColumnTile[] = [];
  const regular = Math.floor(whole / width);
  if (regular > 0) tiles.push({ columns: starts.slice(0, width), times: regular });
  for (let i = regular * width; i < starts.length; i += width) {
    tiles.push({ columns: starts.slice(i, i + width), times: 1 });
  }
  return tiles;
}

/** Some channels in a row, and for each the groups of taps: where their inputs lie, in bytes. */
export interface ChannelRun extends Run {
  readonly groups: readonly (readonly number[])[];
}

/** How the sums of a weight gradient are cut: each tile is a block of filters times a group of taps. */
export interface WeightTiles {
  /** Filters of a tile. */
  readonly blocks: readonly Run[];
  /** The size is more than one channel for 1x1 kernels alone, whose groups span channels. */
  readonly channels: readonly ChannelRun[];
  /** How often the groups are repeated, each time some bytes further. */
  readonly tapRows: { readonly times: number; readonly step: number };
  /** Whether the taps of a group are neighbors, so that they can share their loads. */
  readonly shifted: boolean;
}

/** Sums of a depthwise weight gradient that stay in registers. */
const MOST_WEIGHT_SUMS = 10;

/** Filters of a tile beside 0, 1, ... taps. */
const TILE_FILTERS = [0, 5, 4, 3, 2, 2];

/**
 * The tiles of a weight gradient.
 *
 * @param F Filters.
 * @param C Channels.
 * @param offsets Byte offsets of the kernel's taps, row by row.
 * @param plane Bytes from one channel of x to the next.
 * @param shifted Whether the taps of a row are neighbors that can share their loads.
 * @param tile A size in place of the rule's.
 */
export function weightTiles(
  F: number,
  C: number,
  offsets: readonly (readonly number[])[],
  plane: number,
  shifted: boolean,
  tile?: Tile,
): WeightTiles {
  const KH = offsets.length, KW = offsets[0].length;
  const once = { times: 1, step: 0 };
  const filters = (width: number) => tile?.filters ?? TILE_FILTERS[width];
  if (KH * KW === 1) {
    const channels = evenRuns(C, tile?.width ?? 3).map((run) => ({
      ...run,
      groups: [Array.from({ length: run.size }, (_, c) => c * plane)],
    }));
    return {
      blocks: evenRuns(F, filters(channels[0].size)),
      channels,
      tapRows: once,
      shifted: false,
    };
  }
  const taps = KW === 1 ? offsets.map(([offset]) => offset) : offsets[0];
  // Five neighbors share their loads best; else three, where that comes out even, or four.
  const most = taps.length === 5 ? 5 : taps.length % 3 === 0 ? 3 : 4;
  const groups = grouped(taps, tile?.width ?? most);
  return {
    blocks: evenRuns(F, filters(groups[0].length)),
    channels: [{ size: 1, times: C, groups }],
    tapRows: KW === 1 || KH === 1 ? once : { times: KH, step: offsets[1][0] - offsets[0][0] },
    shifted: shifted && KW > 1,
  };
}

/** The tiles of a depthwise weight gradient: one filter, and as many taps as registers hold. */
export function depthwiseWeightTiles(offsets: readonly (readonly number[])[]): WeightTiles {
  return {
    blocks: [{ size: 1, times: 1 }],
    channels: [{ size: 1, times: 1, groups: grouped(offsets.flat(), MOST_WEIGHT_SUMS) }],
    tapRows: { times: 1, step: 0 },
    shifted: false,
  };
}

/** Cuts a list into the fewest parts of at most `most`. */
function grouped<T>(list: readonly T[], most: number): T[][] {
  let from = 0;
  return pieces(evenRuns(list.length, most)).map((size) => list.slice(from, from += size));
}
