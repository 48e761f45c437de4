/**
 * cnn-layers itself, one row a tier and dtype.
 *
 * @module
 */

import {
  affineBackward,
  affineForward,
  averagePoolBackward,
  averagePoolBackwardNaive,
  averagePoolForward,
  averagePoolForwardNaive,
  convBackward,
  convBackwardNaive,
  convForward,
  convForwardNaive,
  convTransposeBackward,
  convTransposeBackwardNaive,
  convTransposeForward,
  convTransposeForwardNaive,
  explainAveragePool,
  explainConv,
  explainConvTranspose,
  explainMaxPool,
  maxPoolBackward,
  maxPoolBackwardNaive,
  maxPoolForward,
  maxPoolForwardNaive,
  prepareConv,
  tensor,
  useKernels,
  zeros,
} from "../../mod.ts";
import type { DType, Explanation, Tensor, Tier } from "../../mod.ts";
import { affineKernels } from "../../kernels/operations.ts";
import { explain as explainKernel } from "../../kernels/select.ts";
import { Workspace } from "../../nn/workspace.ts";
import { bindAffine as keepAffine } from "../../nn/layers/bound_kernel.ts";
import type { Job, Peer, Results, Workload } from "./peer.ts";
import { cast, runnable } from "./peer.ts";

/** The layers as a user calls them: by the fastest kernel in force, or by the definition. */
const fastLayers = {
  convForward,
  convBackward,
  convTransposeForward,
  convTransposeBackward,
  maxPoolForward,
  maxPoolBackward,
  averagePoolForward,
  averagePoolBackward,
};
const naiveLayers: typeof fastLayers = {
  convForward: convForwardNaive,
  convBackward: convBackwardNaive,
  convTransposeForward: convTransposeForwardNaive,
  convTransposeBackward: convTransposeBackwardNaive,
  maxPoolForward: maxPoolForwardNaive,
  maxPoolBackward: maxPoolBackwardNaive,
  averagePoolForward: averagePoolForwardNaive,
  averagePoolBackward: averagePoolBackwardNaive,
};

/** Calls that write to the arrays of the call before, as a net's do; those of tfjs and ONNX Runtime do too. */
function reusingArrays(run: () => Results): () => Results {
  const workspace = new Workspace();
  return () => {
    workspace.end([]);
    return workspace.run(run);
  };
}

/**
 * One tier of ours.
 *
 * @param tier The tier.
 * @param dtype The type of all tensors.
 * @param isWarm Whether results are written to the arrays of the call before. Default: to fresh ones.
 */
export function ours(tier: Tier, dtype: DType, isWarm = false): Peer {
  return {
    name: `cnn-layers ${tier}`,
    dtype,
    prepare(job) {
      using _ = useKernels(tier);
      const { tier: chosen } = explain(job, dtype);
      if (chosen !== tier) return Promise.resolve(undefined);
      const call = bind(job, dtype, tier), run = isWarm ? reusingArrays(call) : call;
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

/**
 * Convolutions and fully-connected layers with weights packed beforehand: forward passes alone, whose results
 * are written to the arrays of the call before.
 */
export function prepared(dtype: DType): Peer {
  return {
    name: "cnn-layers prepared",
    dtype,
    prepare({ workload, direction, N, ...job }) {
      const { kind, w: wShape, x: [, ...image] } = workload;
      const isPrepared = kind === "conv" || kind === "affine";
      if (!isPrepared || wShape === undefined || direction === "bwd") {
        return Promise.resolve(undefined);
      }
      const x = tensor(cast(job.x, dtype), [N, ...image]), w = tensor(cast(job.w, dtype), wShape);
      const b = tensor(cast(job.b, dtype), [job.b.length]);
      const [D, M] = wShape;
      const forward = kind === "conv"
        ? prepareConv(x.shape, w, b, parameters(workload).convParam).forward
        : keepAffine({ D, M }, w.data, { bias: b.data }).run;
      const run = reusingArrays(() => ({ out: forward(x).data }));
      let last: Results = {};
      return Promise.resolve(runnable(() => {
        last = run();
      }, () => last));
    },
  };
}

/** The parameters of a convolution, and of a pool. */
function parameters({ kind, size, stride, pad, dilation, groups }: Workload) {
  const window = { poolHeight: size, poolWidth: size, stride, pad };
  return {
    convParam: { stride, pad, dilation, groups },
    poolParam: kind === "averagePool" ? { ...window, countIncludePad: false } : window,
  };
}

/** Which kernel serves a job. */
export function explain({ workload }: Job, dtype: DType): Explanation {
  const { kind, x, w } = workload;
  const { convParam, poolParam } = parameters(workload);
  if (w !== undefined && kind === "affine") {
    return explainKernel(affineKernels, { D: w[0], M: w[1] }, dtype);
  }
  if (w !== undefined) {
    const explainWeighted = kind === "conv" ? explainConv : explainConvTranspose;
    return explainWeighted(x, w, convParam, dtype);
  }
  return (kind === "maxPool" ? explainMaxPool : explainAveragePool)(x, poolParam, dtype);
}

/** A job as one whole call of ours: of the naive functions, or of the fast ones for any other tier. */
export function bind(job: Job, dtype: DType, tier: Tier): () => Results {
  const layers = tier === "naive" ? naiveLayers : fastLayers;
  const { workload, N } = job;
  // Where threads find them, if there are any.
  const made = (data: Float64Array, shape: readonly number[]): Tensor => {
    const made = zeros(shape, dtype);
    made.data.set(data);
    return made;
  };
  const x = made(job.x, [N, ...workload.x.slice(1)]);
  const dout = made(job.dout, job.outShape);
  if (workload.w === undefined) return bindPool(job, layers, x, dout);
  const b = made(job.b, [job.b.length]);
  if (workload.kind === "affine") {
    const [D, M] = workload.w;
    const cache = { x, w: made(job.w, [D, M]), b };
    return bindAffine(job, cache, made(job.dout, [N, M]));
  }
  const w = made(job.w, workload.w);
  const { convParam } = parameters(workload);
  const cache = { x, w, b, convParam };
  const isConv = workload.kind === "conv";
  if (job.direction === "fwd") {
    const forward = isConv ? layers.convForward : layers.convTransposeForward;
    return () => ({ out: forward(x, w, b, convParam).out.data });
  }
  const backward = () =>
    isConv ? layers.convBackward(dout, cache) : layers.convTransposeBackward(dout, cache);
  return () => {
    const { dx, dw, db } = backward();
    return { dx: dx.data, dw: dw.data, db: db.data };
  };
}

/** A fully-connected layer, by the kernels in force. */
function bindAffine(
  { direction }: Job,
  cache: { readonly x: Tensor; readonly w: Tensor; readonly b: Tensor },
  dout: Tensor,
): () => Results {
  const { x, w, b } = cache;
  if (direction === "fwd") return () => ({ out: affineForward(x, w, b).out.data });
  return () => {
    const { dx, dw, db } = affineBackward(dout, cache);
    return { dx: dx.data, dw: dw.data, db: db.data };
  };
}

function bindPool(
  { workload, direction }: Job,
  layers: typeof fastLayers,
  x: Tensor,
  dout: Tensor,
): () => Results {
  const { poolParam } = parameters(workload);
  if (workload.kind === "maxPool") {
    return direction === "fwd"
      ? () => ({ out: layers.maxPoolForward(x, poolParam).out.data })
      : () => ({ dx: layers.maxPoolBackward(dout, { x, poolParam }).data });
  }
  return direction === "fwd"
    ? () => ({ out: layers.averagePoolForward(x, poolParam).out.data })
    : () => ({ dx: layers.averagePoolBackward(dout, { shape: x.shape, poolParam }).data });
}
