/**
 * A net that ends in probabilities instead of scores, as models of other libraries do.
 *
 * @module
 */

import { checkNonEmpty, checkTensor } from "../../kernels/check.ts";
import { ArgumentTypeError } from "../../kernels/errors.ts";
import { type FloatArray, show, type Tensor } from "../../kernels/tensor.ts";
import { exp } from "../../kernels/elementary.ts";
import { checkTargets, isRows, type Loss } from "../../nn/layers/loss.ts";
import { type LayerDefinition, layerOf } from "../../nn/layers/layer.ts";
import { log } from "../../kernels/log.ts";
import type { Targets } from "../../nn/model.ts";
import { zerosLike } from "../../nn/tensor.ts";

/**
 * The softmax as a layer of a net, from scores (D) to probabilities (D). Nets of this library do not
 * need it, as their loss has it inside; {@linkcode fromOnnx} makes it of a model that has one.
 *
 * @example
 * ```ts
 * import { affine, Net, zeros } from "@cnn-layers/cnn-layers";
 * import { crossEntropyLoss, softmax } from "@cnn-layers/cnn-layers/onnx";
 *
 * const layers = [affine(2), softmax()];
 * const net = new Net({ inputDim: 3, layers, loss: crossEntropyLoss });
 * console.log(net.predict(zeros([1, 3])).data); // Float64Array [ 0.5, 0.5 ]
 * ```
 *
 * @returns The layer.
 */
export function softmax(): LayerDefinition {
  return layerOf("softmax", [], (inShape, { path }) => {
    if (inShape.length !== 1) {
      const came = `it gets ${show(inShape)}`;
      throw new ArgumentTypeError(`${path} needs an input of (D): ${came}`, "INVALID_RANK");
    }
    const [D] = inShape;
    return {
      outShape: inShape,
      ownsOut: true,
      forward(x) {
        const out = zerosLike(x);
        eachRow(x, D, (from) => normalize(x.data, out.data, from, D));
        return { out, backward: (dout) => ({ dx: softmaxBackward(out, dout, D) }) };
      },
    };
  });
}

function eachRow({ data }: Tensor, D: number, call: (from: number) => void): void {
  for (let from = 0; from < data.length; from += D) call(from);
}

function normalize(x: FloatArray, out: FloatArray, from: number, D: number): void {
  let max = -Infinity, sum = 0;
  for (let i = from; i < from + D; i++) max = Math.max(max, x[i]);
  for (let i = from; i < from + D; i++) sum += exp(x[i] - max);
  for (let i = from; i < from + D; i++) out[i] = exp(x[i] - max) / sum;
}

/** The gradient of x: p * (dp - the sum of p * dp). */
function softmaxBackward(out: Tensor, dout: Tensor, D: number): Tensor {
  const dx = zerosLike(out), p = out.data, dp = dout.data;
  eachRow(out, D, (from) => {
    let sum = 0;
    for (let i = from; i < from + D; i++) sum += p[i] * dp[i];
    for (let i = from; i < from + D; i++) dx.data[i] = p[i] * (dp[i] - sum);
  });
  return dx;
}

/** Smaller probabilities count as this one, so that the loss and its gradient stay finite. */
const SMALLEST = 1e-30;

/**
 * The cross-entropy of probabilities: the loss of a net that ends in {@linkcode softmax}.
 *
 * @example
 * ```ts
 * import { tensor } from "@cnn-layers/cnn-layers";
 * import { crossEntropyLoss } from "@cnn-layers/cnn-layers/onnx";
 *
 * console.log(crossEntropyLoss(tensor(Float64Array.of(0.5, 0.5), [1, 2]), [0]).loss); // 0.6931471805599453
 * ```
 *
 * @param x The probabilities, (N, classes); below 1e-30 they count as that.
 * @param y The N labels, or the probabilities that they should be, (N, classes).
 * @returns The mean loss of an example, and its gradient with respect to x.
 * @throws {TypeError} If x is not a tensor of two dimensions, or y is neither.
 * @throws {RangeError} If a label is not a class, or y does not hold probabilities.
 */
export function crossEntropyLoss<A extends FloatArray>(x: Tensor<A>, y: Targets): Loss<A> {
  checkTensor("x", x, 2);
  checkNonEmpty("x", x.shape, 0);
  const [N, C] = x.shape;
  checkTargets("y", y, N, C);
  const dx = zerosLike(x), p = x.data;
  let loss = 0;
  const add = (i: number, target: number) => {
    const probability = Math.max(p[i], SMALLEST);
    loss -= target * log(probability);
    dx.data[i] = -target / probability / N;
  };
  for (let n = 0; n < N; n++) {
    if (isRows(y)) { for (let c = 0; c < C; c++) add(n * C + c, y.data[n * C + c]); }
    else add(n * C + y[n], 1);
  }
  return { loss: loss / N, dx };
}
