/**
 * Well-known nets of ImageNet's size as this library's layers, with drawn weights and statistics.
 *
 * @module
 */

import {
  affine,
  batchnorm,
  conv,
  depthwiseConv,
  flatten,
  globalAverage,
  type LayerDefinition,
  maxPool,
  Net,
  RandomState,
  relu,
  residual,
  sequential,
} from "../mod.ts";

const CLASSES = 1000;

/** Simonyan and Zisserman (2014), configuration D: filters, and "M" for a max-pool. */
function vgg16(): LayerDefinition[] {
  const stages = [[64, 64], [128, 128], [256, 256, 256], [512, 512, 512], [512, 512, 512]];
  return [
    ...stages.flatMap((stage) => [
      ...stage.flatMap((filters) => [conv(filters), relu()]),
      maxPool(2),
    ]),
    ...[flatten(), affine(4096), relu(), affine(4096), relu(), affine(CLASSES)],
  ];
}

/** A convolution without biases, and batch normalization. */
function normalized(filters: number, kernel: number, stride = 1): LayerDefinition[] {
  return [conv(filters, { kernel, stride, bias: false }), batchnorm()];
}

/** He, Zhang, Ren and Sun (2015), of 18 layers. */
function resnet18(): LayerDefinition[] {
  const block = (filters: number, stride: number, isWider: boolean) => [
    residual(
      sequential(...normalized(filters, 3, stride), relu(), ...normalized(filters, 3)),
      isWider ? sequential(...normalized(filters, 1, stride)) : undefined,
    ),
    relu(),
  ];
  return [
    ...normalized(64, 7, 2),
    relu(),
    maxPool(3, { stride: 2, pad: 1 }),
    ...[64, 128, 256, 512].flatMap((filters, i) => [
      ...block(filters, i > 0 ? 2 : 1, i > 0),
      ...block(filters, 1, false),
    ]),
    globalAverage(),
    affine(CLASSES),
  ];
}

/** Sandler et al. (2018); its relu6 is a relu here. */
function mobilenet2(): LayerDefinition[] {
  let inputs = 32;
  const block = (expansion: number, filters: number, stride: number) => {
    const branch = sequential(
      ...expansion === 1 ? [] : [...normalized(expansion * inputs, 1), relu()],
      depthwiseConv({ stride, bias: false }),
      batchnorm(),
      relu(),
      ...normalized(filters, 1),
    );
    const isResidual = stride === 1 && inputs === filters;
    inputs = filters;
    return isResidual ? residual(branch) : branch;
  };
  const stages = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
  ];
  return [
    ...[...normalized(32, 3, 2), relu()],
    ...stages.flatMap(([expansion, filters, times, stride]) =>
      Array.from({ length: times }, (_, i) => block(expansion, filters, i === 0 ? stride : 1))
    ),
    ...[...normalized(1280, 1), relu(), globalAverage(), affine(CLASSES)],
  ];
}

/** The nets' layers by name. */
export const wholeNets = { vgg16, resnet18, mobilenet2 };

/** A net of drawn weights and statistics, so that no layer does nothing. */
export function drawnNet(
  name: keyof typeof wholeNets,
  watched = (layer: LayerDefinition) => layer,
): Net<"float32"> {
  const random = new RandomState(0);
  const layers = wholeNets[name]().map(watched);
  const net = new Net({ inputDim: [3, 224, 224], layers, dtype: "float32", random });
  const state = net.state();
  for (const [name, { data }] of Object.entries(state)) {
    const isSpread = /^(gamma|runningVar)/.test(name),
      isSmall = /^(beta|runningMean|b)\d/.test(name);
    if (!isSpread && !isSmall) continue;
    for (let i = 0; i < data.length; i++) {
      data[i] = isSpread ? 0.5 + random.rand() : 0.1 * random.randn();
    }
  }
  net.loadState(state);
  return net;
}
