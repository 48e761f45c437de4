/**
 * The net of the recipe "fast", which learns CIFAR-10 in few epochs.
 *
 * Source: airbench94 of Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024),
 * arXiv 2404.00498.
 *
 * @module
 */

import {
  affine,
  batchnorm,
  conv,
  flatten,
  gelu,
  type LayerDefinition,
  maxPool,
  Net,
  type RandomState,
  softmaxLoss,
  type Tensor,
  tensor,
} from "../../mod.ts";
import { whiteningFilters } from "./whitening.ts";

/** Filters of the three blocks. */
const WIDTHS = [64, 256, 256];

/** The first layer's filters are whitening ones and their negatives: 2 x 2 on 3 colors. */
const WHITENING_SIZE = 2, WHITENING_FILTERS = 2 * 3 * WHITENING_SIZE ** 2;

/** Images whose patches the whitening is made from. */
const WHITENED = 5000;

/** What the scores are multiplied by. */
const SCORE_SCALE = 1 / 9;

const LABEL_SMOOTHING = 0.2;

/** Every value times a constant. */
export function scale(factor: number): LayerDefinition {
  const scaled = ({ data, shape }: Tensor) => tensor(data.map((v) => factor * v), shape);
  return {
    type: "scale",
    args: [factor],
    plan: (outShape) => ({
      outShape,
      releases: true,
      ownsOut: true,
      forward: (x) => ({ out: scaled(x), backward: (dout) => ({ dx: scaled(dout) }) }),
    }),
  };
}

function block(filters: number): LayerDefinition[] {
  const norm = () => batchnorm({ momentum: 0.6, eps: 1e-12 });
  const free = { bias: false };
  return [
    ...[conv(filters, free), maxPool(2), norm(), gelu()],
    ...[conv(filters, free), norm(), gelu()],
  ];
}

/** The net, with random weights but for the whitening, which needs images. */
export function fastNet(random: RandomState, reg: number): Net<"float32"> {
  const net = new Net({
    inputDim: [3, 32, 32],
    layers: [
      ...[conv(WHITENING_FILTERS, { kernel: WHITENING_SIZE, pad: 0 }), gelu()],
      ...WIDTHS.flatMap(block),
      ...[maxPool(3), flatten(), affine(10), scale(SCORE_SCALE)],
    ],
    loss: (scores, y) => softmaxLoss(scores, y, { labelSmoothing: LABEL_SMOOTHING }),
    reg,
    dtype: "float32",
    random,
  });
  const [, ...weights] = Object.entries(net.params).filter(([name]) => name.startsWith("W"));
  for (const [, { data, shape: [F, C, ...kernel] }] of weights) {
    const isConv = kernel.length > 0, fanIn = isConv ? C * 9 : F;
    const bound = 1 / Math.sqrt(fanIn);
    for (let i = 0; i < data.length; i++) data[i] = bound * (2 * random.rand() - 1);
    if (isConv) passOn(data, F, C);
  }
  return net;
}

/** Lets the first filters of a 3x3 convolution pass their channel on as it is ("dirac"). */
function passOn(data: Float32Array, F: number, C: number): void {
  for (let f = 0; f < Math.min(F, C); f++) {
    data.fill(0, f * C * 9, (f + 1) * C * 9);
    data[f * C * 9 + f * 9 + 4] = 1;
  }
}

/** Gives the first layer of the net its whitening filters. */
export function whiten({ params: { W1 } }: Net<"float32">, x: Tensor): void {
  const N = Math.min(WHITENED, x.shape[0]), size = x.data.length / x.shape[0];
  const some = tensor(x.data.subarray(0, N * size), [N, ...x.shape.slice(1)]);
  const { data } = whiteningFilters(some, WHITENING_SIZE);
  W1.data.set(data);
  W1.data.set(data.map((v) => -v), data.length);
}
