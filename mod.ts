/**
 * Convolutional-network layers that need nothing but an import: forward and backward, float64 and
 * float32, NCHW, gradient-checked, with kernels made for the shape.
 *
 * @example A convolution
 * ```ts
 * import { convForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 8, 8]), w = random.randn([4, 3, 3, 3]), b = random.randn([4]);
 * const { out } = convForward(x, w, b, { stride: 1, pad: 1 });
 * console.log(out.shape); // [2, 4, 8, 8]
 * ```
 *
 * **Caches.** A forward pass returns `{ out, cache }`, and its backward pass takes the cache. It is plain
 * data, that of this one call, and lives as long as you keep it: it may be cloned, and used for several
 * backward passes, which do not change it. It holds the tensors themselves - those that came in, or the
 * one that went out - and no copies: whoever writes to x, w or `out` before the backward pass changes the
 * gradients. Parameters such as `convParam` are copied, written out, so that theirs may be changed. What
 * else is in a cache may differ from version to version: take it from the forward pass alone.
 *
 * **Errors.** Wrong arguments are refused before anything is written, by an {@linkcode ArgumentTypeError}
 * or an {@linkcode ArgumentRangeError}, which are a TypeError and a RangeError with a `code`.
 *
 * @module
 */

export type { RangeErrorCode, TypeErrorCode } from "./kernels/errors.ts";
export { ArgumentRangeError, ArgumentTypeError } from "./kernels/errors.ts";
export type { Epilogue } from "./kernels/epilogue.ts";
export type { KernelInfo, Tier } from "./kernels/kernel.ts";
export type {
  GeneratedAveragePool,
  GeneratedConv,
  GeneratedPass,
  GeneratedPool,
  Numbers,
  PassSizes,
  PoolSizes,
} from "./kernels/generated/kernel.ts";
export type {
  AveragePoolParams,
  ConvParams,
  ConvTransposeParams,
  Pad,
  PoolParams,
} from "./kernels/shape.ts";
export type { Arithmetic, Explanation, KernelChoice } from "./kernels/select.ts";
export { registerKernels, useArithmetic, useKernels, useVectorPairs } from "./kernels/select.ts";
export type { ThreadOptions, Threads } from "./kernels/threads/use.ts";
export { useThreads } from "./kernels/threads/use.ts";
export { warmConv } from "./kernels/warm.ts";
export type { ArrayOf, DType, FloatArray, NestedNumbers, Tensor } from "./nn/tensor.ts";
export { full, linspace, tensor, zeros } from "./nn/tensor.ts";
export { argmax, formatTensor, reshape, slice } from "./nn/shaping.ts";
export type { ChoiceOptions, RandomStateData, Shufflable } from "./nn/random/random_state.ts";
export { RandomState } from "./nn/random/random_state.ts";
export type { GradientCheck } from "./nn/training/gradient_check.ts";
export {
  evalNumericalGradient,
  evalNumericalGradientArray,
  gradCheckSparse,
  relError,
} from "./nn/training/gradient_check.ts";
export type {
  CourseRuleName,
  OptimConfig,
  Update,
  UpdateRule,
  UpdateRuleName,
} from "./nn/training/optim.ts";
export {
  adagrad,
  adam,
  adamw,
  rmsprop,
  sgd,
  sgdMomentum,
  sgdNesterovMomentum,
  updateRules,
} from "./nn/training/optim.ts";
export type { Mode } from "./nn/checks.ts";
export type { BackwardOptions, Gradients, OptionalDx, PassOptions } from "./nn/layers/gradients.ts";
export type { ConvCache, ConvOptions } from "./nn/layers/conv.ts";
export {
  conv,
  convBackward,
  convBackwardNaive,
  convForward,
  convForwardNaive,
  explainConv,
} from "./nn/layers/conv.ts";
export type { PreparedConv } from "./nn/layers/prepare_conv.ts";
export { prepareConv } from "./nn/layers/prepare_conv.ts";
export type { DepthwiseConvOptions } from "./nn/layers/depthwise_conv.ts";
export { depthwiseConv } from "./nn/layers/depthwise_conv.ts";
export type { ConvTransposeCache, ConvTransposeOptions } from "./nn/layers/conv_transpose.ts";
export {
  convTranspose,
  convTransposeBackward,
  convTransposeBackwardNaive,
  convTransposeForward,
  convTransposeForwardNaive,
  explainConvTranspose,
} from "./nn/layers/conv_transpose.ts";
export type { MaxPoolOptions, PoolCache, PoolOptions } from "./nn/layers/max_pool.ts";
export {
  explainMaxPool,
  maxPool,
  maxPoolBackward,
  maxPoolBackwardNaive,
  maxPoolForward,
  maxPoolForwardNaive,
} from "./nn/layers/max_pool.ts";
export type { AveragePoolCache, AveragePoolOptions } from "./nn/layers/average_pool.ts";
export {
  averagePool,
  averagePoolBackward,
  averagePoolBackwardNaive,
  averagePoolForward,
  averagePoolForwardNaive,
  explainAveragePool,
} from "./nn/layers/average_pool.ts";
export type { GlobalAverageCache, GlobalMaxCache } from "./nn/layers/global_pool.ts";
export {
  globalAverage,
  globalAverageBackward,
  globalAverageForward,
  globalMax,
  globalMaxBackward,
  globalMaxForward,
} from "./nn/layers/global_pool.ts";
export type { Pad1d } from "./nn/layers/sequence.ts";
export type { Conv1dCache, Conv1dParams } from "./nn/layers/conv1d.ts";
export { conv1dBackward, conv1dForward } from "./nn/layers/conv1d.ts";
export type {
  AveragePool1dCache,
  AveragePool1dParams,
  MaxPool1dCache,
  MaxPool1dParams,
} from "./nn/layers/pool1d.ts";
export {
  averagePool1dBackward,
  averagePool1dForward,
  maxPool1dBackward,
  maxPool1dForward,
} from "./nn/layers/pool1d.ts";
export type { AffineCache } from "./nn/layers/affine.ts";
export { affine, affineBackward, affineForward } from "./nn/layers/affine.ts";
export type { ReluCache } from "./nn/layers/relu.ts";
export { relu, reluBackward, reluForward } from "./nn/layers/relu.ts";
export type { DropoutCache, DropoutParams } from "./nn/layers/dropout.ts";
export { dropout, dropoutBackward, dropoutForward } from "./nn/layers/dropout.ts";
export type { Normalized, NormGradients } from "./nn/layers/norm_loops.ts";
export type { LayernormParams, NormCache, NormLayer } from "./nn/layers/normalization.ts";
export type { BatchnormOptions, BatchnormParams } from "./nn/layers/batchnorm.ts";
export {
  batchnorm,
  batchnormBackward,
  batchnormBackwardAlt,
  batchnormForward,
  spatialBatchnormBackward,
  spatialBatchnormForward,
} from "./nn/layers/batchnorm.ts";
export type { LayernormOptions } from "./nn/layers/layernorm.ts";
export { layernorm, layernormBackward, layernormForward } from "./nn/layers/layernorm.ts";
export {
  groupnorm,
  spatialGroupnormBackward,
  spatialGroupnormForward,
} from "./nn/layers/groupnorm.ts";
export type { Loss, SoftmaxLossOptions } from "./nn/layers/loss.ts";
export { softmaxLoss, svmLoss } from "./nn/layers/loss.ts";
export type { AffineNormReluCache, AffineReluCache, NormedGradients } from "./nn/layer_utils.ts";
export {
  affineBatchnormReluBackward,
  affineBatchnormReluForward,
  affineLayernormReluBackward,
  affineLayernormReluForward,
  affineReluBackward,
  affineReluForward,
} from "./nn/layer_utils.ts";
export type {
  ConvBatchnormReluCache,
  ConvBatchnormReluPoolCache,
  ConvReluCache,
  ConvReluPoolCache,
} from "./nn/conv_layer_utils.ts";
export {
  convBatchnormReluBackward,
  convBatchnormReluForward,
  convBatchnormReluPoolBackward,
  convBatchnormReluPoolForward,
  convReluBackward,
  convReluForward,
  convReluPoolBackward,
  convReluPoolForward,
} from "./nn/conv_layer_utils.ts";
export type {
  Gradient,
  LayerDefinition,
  LayerPlan,
  ParameterPlan,
  Pass,
  PlannedLayer,
  Planner,
  Run,
  Scales,
  Size,
} from "./nn/layers/layer.ts";
export type { JointRun } from "./nn/layers/layer.ts";
export { flatten } from "./nn/layers/flatten.ts";
export { gelu } from "./nn/layers/gelu.ts";
export { leakyRelu } from "./nn/layers/leaky_relu.ts";
export { sigmoid } from "./nn/layers/sigmoid.ts";
export { tanh } from "./nn/layers/tanh.ts";
export { concat } from "./nn/nets/concat.ts";
export { residual } from "./nn/nets/residual.ts";
export { sequential } from "./nn/nets/sequence.ts";
export type {
  LayerDescription,
  LayeredNet,
  LayeredNetOptions,
  LayerExplanation,
  LossFunction,
  NamedLoss,
  NetDescription,
  NetOptions,
  PreparedNet,
} from "./nn/nets/layered_net.ts";
export type { LoadedState, LoadStateOptions } from "./nn/nets/state.ts";
export type { ComposedNetOptions, FromJSONOptions, LayerFunction } from "./nn/nets/net.ts";
export { Net } from "./nn/nets/net.ts";
export type {
  AffineBlock,
  Block,
  BlockNetOptions,
  ConvBlock,
  GlobalAverageBlock,
} from "./nn/nets/block_net.ts";
export { BlockNet } from "./nn/nets/block_net.ts";
export type { FullyConnectedNetOptions, TwoLayerNetOptions } from "./nn/nets/fc_net.ts";
export { FullyConnectedNet, TwoLayerNet } from "./nn/nets/fc_net.ts";
export type { ConvNetOptions, ThreeLayerConvNetOptions } from "./nn/nets/cnn.ts";
export { ConvNet, convNetBlocks, ThreeLayerConvNet } from "./nn/nets/cnn.ts";
export type {
  JointBatch,
  JointOptions,
  Labels,
  LossAndGradients,
  LossOptions,
  Model,
  ModelState,
  Targets,
} from "./nn/model.ts";
export type {
  Augment,
  BatchInfo,
  Progress,
  SolverData,
  SolverOptions,
  TrainEnd,
  TrainOptions,
  TrainResult,
  TransformGradients,
} from "./nn/training/solver_options.ts";
export { Solver } from "./nn/training/solver.ts";
export type { Checkpoint } from "./nn/training/checkpoint.ts";
export { decodeCheckpoint, encodeCheckpoint } from "./nn/training/checkpoint_file.ts";
export type {
  CosineOptions,
  Schedule,
  StepOptions,
  TriangularOptions,
  WarmupOptions,
} from "./nn/training/schedules.ts";
export { cosineSchedule, stepSchedule, triangularSchedule } from "./nn/training/schedules.ts";
export type { ParamGroup, ParamNames } from "./nn/training/param_groups.ts";
export { clipGlobalNorm } from "./nn/training/clip.ts";
export type {
  Average,
  AverageState,
  ExponentialAverageOptions,
  LookaheadOptions,
  Place,
} from "./nn/training/averages.ts";
export type { Parallel, ParallelSums } from "./nn/training/parallel.ts";
export type { PartialSum } from "./nn/training/pairwise_sum.ts";
export { averageBy, exponentialAverage, lookahead } from "./nn/training/averages.ts";
export type { LearningRateRange, LearningRates } from "./nn/training/learning_rate_finder.ts";
export { findLearningRate } from "./nn/training/learning_rate_finder.ts";
export type { ClassReport } from "./nn/training/metrics.ts";
export {
  classReports,
  confusionMatrix,
  predictedClasses,
  topKAccuracy,
} from "./nn/training/metrics.ts";
export type { TestTimeOptions } from "./nn/training/test_time.ts";
export { testTimeScores } from "./nn/training/test_time.ts";
export type {
  ByteTensor,
  Examples,
  ExampleSource,
  ImageArray,
  Images,
  ImageType,
} from "./nn/data/examples.ts";
export type { ChannelStatistics, SplitOptions } from "./nn/data/split.ts";
export { channelStatistics, normalize, normalizedExamples, splitData } from "./nn/data/split.ts";
export type { CutoutOptions } from "./nn/data/cutout.ts";
export { cutout } from "./nn/data/cutout.ts";
export type { MixupOptions } from "./nn/data/mixup.ts";
export { mixup } from "./nn/data/mixup.ts";
export type { Cifar10Data, Cifar10Options, FileBytes } from "./nn/data/cifar10.ts";
export { cifar10Classes, getCifar10Data } from "./nn/data/cifar10.ts";
export type { CropAndMirrorOptions } from "./nn/data/crop_and_mirror.ts";
export { cropAndMirror } from "./nn/data/crop_and_mirror.ts";
export type { ImageLayout } from "./nn/data/vis_utils.ts";
export { visualizeGrid } from "./nn/data/vis_utils.ts";
