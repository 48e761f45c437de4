/**
 * What a generated file exports: inner functions that see staged planes of float64 numbers alone.
 *
 * @module
 */

/** What a generated function sees: float64 numbers alone, tensors' own or scratch. */
export type Numbers = Float64Array;

/**
 * The sizes of one pass of a generated convolution kernel. A pass walks over rows x cols positions:
 * forward, they are the positions of the output; for the gradient of the input, the positions of the
 * output's gradient. In a depthwise pass plane p of the input meets plane p of the output alone, and
 * wOutput is the number of taps.
 */
export interface PassSizes {
  /** Planes that are read. */
  readonly inputs: number;
  /** Planes that are written. */
  readonly outputs: number;
  /** Positions from top to bottom. */
  readonly rows: number;
  /** Positions from left to right. */
  readonly cols: number;
  /** Numbers from one row of x to the next. */
  readonly xPitch: number;
  /** Numbers from one plane of x to the next. */
  readonly xPlane: number;
  /** Numbers from one row of y to the next. */
  readonly yPitch: number;
  /** Numbers from one plane of y to the next. */
  readonly yPlane: number;
  /** Numbers in w from the taps of one input plane to those of the next. */
  readonly wInput: number;
  /** Numbers in w from the taps of one output plane to those of the next. */
  readonly wOutput: number;
}

/** The sizes that a generated pool takes at run time. */
export interface PoolSizes {
  /** Planes of the input. */
  readonly planes: number;
  /** Height of the output. */
  readonly rows: number;
  /** Width of the output. */
  readonly cols: number;
  /** Numbers from one row of x to the next. */
  readonly xPitch: number;
  /** Numbers from one plane of x to the next. */
  readonly xPlane: number;
}

/** A generated inner function: it adds products to `sums`, which the caller has filled. */
export type GeneratedPass = (
  x: Numbers,
  other: Numbers,
  sums: Numbers,
  sizes: PassSizes,
) => void;

/** What a generated convolution file exports. The functions see float64 scratch alone. */
export interface GeneratedConv {
  /**
   * `conv-3x31x31-25x3x3-s2p1-generated`; for a family `conv-3x3-s2-generated`, or
   * `conv-3x3-s2-depthwise-generated`. Depthwise kernels are called once for all groups, others group by
   * group; an exact one is depthwise if its groups are as many as its channels and its filters.
   */
  readonly name: string;
  /** y += x convolved with w. */
  readonly forward: GeneratedPass;
  /** y += the gradient of the input, from x = the gradient of the output, and w. */
  readonly backwardData: GeneratedPass;
  /** dw += the gradient of the filters, from x and y = the gradient of the output. */
  readonly backwardWeights: GeneratedPass;
}

/** What a generated max-pool file exports. The functions see float64 arrays alone. */
export interface GeneratedPool {
  /** `maxpool-32x32-2x2-s2-generated`, or `maxpool-2x2-s2-generated` for a family. */
  readonly name: string;
  /** y = the maximum of each window of x. */
  readonly forward: (x: Numbers, y: Numbers, sizes: PoolSizes) => void;
  /** dx += each value of dy, at the first maximum of its window of x. */
  readonly backward: (
    x: Numbers,
    dy: Numbers,
    dx: Numbers,
    sizes: PoolSizes,
  ) => void;
}

/** What a generated average-pool file exports. The functions see float64 arrays alone. */
export interface GeneratedAveragePool {
  /** `averagepool-32x32-2x2-s2-generated`, or `averagepool-2x2-s2-generated` for a family. */
  readonly name: string;
  /** y = the average of each window of x, all of whose numbers count. */
  readonly forward: (x: Numbers, y: Numbers, sizes: PoolSizes) => void;
  /** dx += each value of dy, shared out evenly over its window. */
  readonly backward: (dy: Numbers, dx: Numbers, sizes: PoolSizes) => void;
}
