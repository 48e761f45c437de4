/**
 * A whole net of this library's layers in TensorFlow.js: batch normalization folded into the convolutions
 * before it, relus fused, images in its own layout.
 *
 * @module
 */

import type { Net, PlannedLayer, Tensor } from "../../mod.ts";
import { toNHWC } from "./peer.ts";
import { filterToTf, loadTfjs, type Tf, type TfTensor } from "./tfjs.ts";

/** What a step of the net makes of images in rows of channels. */
type Step = (x: TfTensor) => TfTensor;

interface TfOperations extends Tf {
  tidy<T>(run: () => T): T;
  relu(x: TfTensor): TfTensor;
  mean(x: TfTensor, axes: number[]): TfTensor;
  transpose(x: TfTensor, axes: number[]): TfTensor;
  reshape(x: TfTensor, shape: number[]): TfTensor;
}

/** Layers one after another, those of sequences among them. */
function flat(layers: readonly PlannedLayer[]): readonly PlannedLayer[] {
  return layers.flatMap((layer) =>
    layer.layer.type === "sequential" ? flat(layer.plan.parts ?? []) : [layer]
  );
}

/** The steps of a net. */
function stepsOf(tf: TfOperations, state: Readonly<Record<string, Tensor>>) {
  function convolution(layer: PlannedLayer, norm: PlannedLayer | undefined, relu: boolean): Step {
    const { type, args = [] } = layer.layer;
    const options = (type === "conv" ? args[1] : args[0]) as {
      readonly kernel?: number;
      readonly stride?: number;
      readonly pad?: number;
    };
    const { kernel = 3, stride = 1, pad = (kernel - 1) / 2 } = options ?? {};
    const w = state[layer.names.W], [F, C] = w.shape;
    const bias = Float32Array.from(state[layer.names.b]?.data ?? new Float32Array(F));
    const folded = Float32Array.from(w.data), size = folded.length / F;
    for (let f = 0; norm !== undefined && f < F; f++) {
      const of = (name: string) => state[norm.names[name]].data[f];
      const scale = of("gamma") / Math.sqrt(of("runningVar") + 1e-5);
      for (let i = f * size; i < (f + 1) * size; i++) folded[i] *= scale;
      bias[f] = of("beta") + (bias[f] - of("runningMean")) * scale;
    }
    const isDepthwise = type === "depthwiseConv";
    const shape = isDepthwise ? [kernel, kernel, F, 1] : [kernel, kernel, C, F];
    const filter = tf.tensor(filterToTf(folded, [F, C, kernel, kernel]), shape);
    const more = {
      bias: tf.tensor(bias, [F]),
      strides: stride,
      pad,
      ...relu && { activation: "relu" },
    };
    const run = tf.fused[isDepthwise ? "depthwiseConv2d" : "conv2d"];
    return (x) => run({ x, filter, ...more });
  }

  function affine({ names }: PlannedLayer, relu: boolean): Step {
    const { data, shape } = state[names.W], b = state[names.b];
    const w = tf.tensor(Float32Array.from(data), shape);
    const bias = tf.tensor(Float32Array.from(b.data), b.shape);
    return (a) => tf.fused.matMul({ a, b: w, bias, ...relu && { activation: "relu" } });
  }

  function pool({ layer: { args: [size, options] = [] } }: PlannedLayer): Step {
    const { stride = size, pad = 0 } = (options ?? {}) as { stride?: number; pad?: number };
    return (x) => tf.maxPool(x, size as number, stride as number, pad);
  }

  function residual({ plan: { parts = [] } }: PlannedLayer): Step {
    const [branch, shortcut] = parts.map((part) => sequence([part]));
    return (x) => tf.add(branch(x), shortcut === undefined ? x : shortcut(x));
  }

  function flatten({ plan: { outShape: [size] } }: PlannedLayer): Step {
    return (x) => tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [-1, size]);
  }

  function sequence(layers: readonly PlannedLayer[]): Step {
    const rest = [...flat(layers)], steps: Step[] = [];
    const take = (type: string) => rest[0]?.layer.type === type ? rest.shift() : undefined;
    for (let layer = rest.shift(); layer !== undefined; layer = rest.shift()) {
      const { type } = layer.layer;
      if (type === "conv" || type === "depthwiseConv") {
        steps.push(convolution(layer, take("batchnorm"), take("relu") !== undefined));
      } else if (type === "affine") steps.push(affine(layer, take("relu") !== undefined));
      else if (type === "maxPool") steps.push(pool(layer));
      else if (type === "residual") steps.push(residual(layer));
      else if (type === "flatten") steps.push(flatten(layer));
      else if (type === "relu") steps.push((x) => tf.relu(x));
      else if (type === "globalAverage") steps.push((x) => tf.mean(x, [1, 2]));
      else throw new Error(`tfjs: no ${type}`);
    }
    return (x) => steps.reduce((out, step) => step(out), x);
  }

  return sequence;
}

/** A net in TensorFlow.js: from images (N, C, H, W) to what makes their scores. */
export async function tfjsNet(net: Net<"float32">, x: Tensor): Promise<() => ArrayLike<number>> {
  const tf = await loadTfjs<TfOperations>("wasm");
  const [N, C, H, W] = x.shape;
  const run = stepsOf(tf, net.state())(net.layers);
  const images = tf.tensor(toNHWC(x.data, [N, C, H, W]), [N, H, W, C]);
  return () => {
    const out = tf.tidy(() => run(images));
    const scores = out.dataSync();
    out.dispose();
    return scores;
  };
}
