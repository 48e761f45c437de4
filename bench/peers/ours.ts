/**
 * cnn-layers itself, one row a tier and dtype.
 *
 * @module
 */

import {
  convBackward,
  convBackwardNaive,
  convForward,
  convForwardNaive,
  explainConv,
  explainMaxPool,
  maxPoolBackward,
  maxPoolBackwardNaive,
  maxPoolForward,
  maxPoolForwardNaive,
  tensor,
  useKernels,
} from "../../mod.ts";
import type { DType, Tier } from "../../mod.ts";
import type { Job, Peer, Results } from "./peer.ts";
import { cast, runnable } from "./peer.ts";

/** The layers as a user calls them: by the fastest kernel in force, or by the definition. */
const fastLayers = { convForward, convBackward, maxPoolForward, maxPoolBackward };
const naiveLayers: typeof fastLayers = {
  convForward: convForwardNaive,
  convBackward: convBackwardNaive,
  maxPoolForward: maxPoolForwardNaive,
  maxPoolBackward: maxPoolBackwardNaive,
};

/** One tier of ours. */
export function ours(tier: Tier, dtype: DType): Peer {
  return {
    name: `cnn-layers ${tier}`,
    dtype,
    prepare(job) {
      using _ = useKernels(tier);
      const { tier: chosen } = explain(job, dtype);
      if (chosen !== tier) return Promise.resolve(undefined);
      const run = bind(job, dtype, tier);
      let last: Results = {};
      return Promise.resolve(runnable(
        () => {
          using _ = useKernels(tier);
          last = run();
        },
        () => last,
      ));
    },
  };
}

/** Which kernel serves a job. */
export function explain({ workload }: Job, dtype: DType) {
  const { x, w, size, stride, pad } = workload;
  return w
    ? explainConv(x, w, { stride, pad }, dtype)
    : explainMaxPool(x, { poolHeight: size, poolWidth: size, stride, pad }, dtype);
}

/** A job as one whole call of ours: of the naive functions, or of the fast ones for any other tier. */
export function bind(job: Job, dtype: DType, tier: Tier): () => Results {
  const layers = tier === "naive" ? naiveLayers : fastLayers;
  const { workload, N } = job;
  const x = tensor(cast(job.x, dtype), [N, ...workload.x.slice(1)]);
  const dout = tensor(cast(job.dout, dtype), job.outShape);
  const { w: wShape, size, stride, pad } = workload;
  if (wShape === undefined) {
    const poolParam = { poolHeight: size, poolWidth: size, stride, pad };
    return job.direction === "fwd"
      ? () => ({ out: layers.maxPoolForward(x, poolParam).out.data })
      : () => ({ dx: layers.maxPoolBackward(dout, { x, poolParam }).data });
  }
  const w = tensor(cast(job.w, dtype), wShape);
  const b = tensor(cast(job.b, dtype), [wShape[0]]);
  const convParam = { stride, pad };
  if (job.direction === "fwd") {
    return () => ({ out: layers.convForward(x, w, b, convParam).out.data });
  }
  const cache = { x, w, b, convParam };
  return () => {
    const { dx, dw, db } = layers.convBackward(dout, cache);
    return { dx: dx.data, dw: dw.data, db: db.data };
  };
}
