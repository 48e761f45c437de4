/**
 * Scores of many images in the page itself, a few at a time, so that it never stands still.
 *
 * @module
 */

import type { ByteTensor, ChannelStatistics, Net, Tensor } from "../../mod.ts";
import { normalizedTensor, range } from "../data/image_set.ts";
import { pause } from "../turns.ts";

/** Milliseconds that one turn takes at most, if an image does not take longer. */
const TURN = 12;

/**
 * The scores of images.
 *
 * @param net What gives them.
 * @param x The images, (N, C, H, W).
 * @param statistics What brings them to mean 0 and deviation 1.
 * @returns The scores, (N, classes).
 */
export async function scoresByTurns(
  net: Net<"float32">,
  x: ByteTensor,
  statistics: ChannelStatistics,
): Promise<Tensor> {
  const [N] = x.shape, parts: Tensor[] = [];
  let from = 0, count = 1;
  while (from < N) {
    const begin = performance.now();
    const part = range(x, from, from + count);
    parts.push(net.predict(normalizedTensor(part, statistics)));
    from += part.shape[0];
    // The first images also compile kernels: the number grows step by step.
    const fitting = Math.floor(count * TURN / (performance.now() - begin));
    count = Math.max(1, Math.min(fitting, 2 * count));
    await pause(0);
  }
  const classes = parts[0].shape[1], data = new Float32Array(N * classes);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { data, shape: [N, classes] };
}
