/**
 * Random geometries of convolutions for the SIMD kernels, small enough for the definition.
 *
 * @module
 */

import fc from "fast-check";
import { type ConvShape, convShape } from "../../kernels/shape.ts";

/** A geometry, and a number of images. */
export interface Case {
  readonly N: number;
  readonly shape: ConvShape;
}

/** Any geometry that is small enough to compute by the definition. */
export const geometries: fc.Arbitrary<Case> = fc.record({
  N: fc.integer({ min: 1, max: 2 }),
  C: fc.integer({ min: 1, max: 7 }),
  H: fc.integer({ min: 1, max: 12 }),
  W: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 13, max: 40 })),
  F: fc.oneof(fc.integer({ min: 1, max: 11 }), fc.constant(16)),
  KH: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 4, max: 8 })),
  KW: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 4, max: 12 })),
  stride: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  pad: fc.oneof(
    fc.nat(3).map((p): [number, number, number, number] => [p, p, p, p]),
    fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3), fc.nat(3)),
  ),
}).map(({ N, C, H, W, F, KH, KW, stride, pad }) => {
  const kernel: [number, number] = [
    Math.min(KH, H + pad[0] + pad[2]),
    Math.min(KW, W + pad[1] + pad[3]),
  ];
  return { N, shape: convShape([N, C, H, W], [F, C, ...kernel], { stride, pad }) };
});

/** Wide rows, whose vectors are looped over instead of written out, and windows that are far apart. */
export const wideGeometries: fc.Arbitrary<Case> = fc.record({
  N: fc.integer({ min: 1, max: 3 }),
  C: fc.integer({ min: 1, max: 3 }),
  H: fc.integer({ min: 1, max: 9 }),
  W: fc.integer({ min: 41, max: 300 }),
  F: fc.integer({ min: 1, max: 6 }),
  KH: fc.integer({ min: 1, max: 3 }),
  KW: fc.integer({ min: 1, max: 9 }),
  stride: fc.tuple(
    fc.integer({ min: 1, max: 3 }),
    fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 4, max: 20 })),
  ),
  pad: fc.tuple(fc.nat(2), fc.nat(9), fc.nat(2), fc.nat(9)),
}).map(({ N, C, H, W, F, KH, KW, stride, pad }) => ({
  N,
  shape: convShape([N, C, H, W], [F, C, Math.min(KH, H), KW], { stride, pad }),
}));

/** Geometries that Winograd's algorithm may serve; small images come several at a time. */
export const winogradGeometries: fc.Arbitrary<Case> = fc.oneof(
  fc.record({
    N: fc.integer({ min: 1, max: 2 }),
    H: fc.integer({ min: 3, max: 12 }),
    W: fc.integer({ min: 7, max: 24 }),
    kernel: fc.tuple(fc.constantFrom(3, 5, 7), fc.constantFrom(3, 5, 7)),
  }),
  fc.record({
    N: fc.integer({ min: 1, max: 19 }),
    H: fc.integer({ min: 2, max: 5 }),
    W: fc.integer({ min: 2, max: 8 }),
    kernel: fc.constant<[number, number]>([3, 3]),
  }),
).chain(({ N, H, W, kernel: [KH, KW] }) =>
  fc.record({
    C: fc.integer({ min: 3, max: 21 }),
    F: fc.integer({ min: 3, max: 21 }),
    pad: fc.tuple(fc.nat(KH - 1), fc.nat(KW - 1), fc.nat(KH - 1), fc.nat(KW - 1))
      .filter(([top, left, bottom, right]) => H + top + bottom >= KH && W + left + right >= KW),
  }).map(({ C, F, pad }) => ({
    N,
    shape: convShape([N, C, H, W], [F, C, KH, KW], { stride: 1, pad }),
  }))
);

/** Groups and dilation, one filter and one channel a group among them. */
export const groupedGeometries: fc.Arbitrary<Case> = fc.record({
  N: fc.integer({ min: 1, max: 2 }),
  groups: fc.oneof(fc.integer({ min: 1, max: 7 }), fc.constant(24)),
  C: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 4 })),
  F: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 6 })),
  H: fc.integer({ min: 1, max: 14 }),
  W: fc.oneof(fc.integer({ min: 1, max: 14 }), fc.integer({ min: 15, max: 60 })),
  kernel: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
  stride: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
  dilation: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  pad: fc.tuple(fc.nat(5), fc.nat(5), fc.nat(5), fc.nat(5)),
}).filter(({ H, W, kernel: [KH, KW], dilation: [dy, dx], pad: [top, left, bottom, right] }) =>
  dy * (KH - 1) + 1 <= H + top + bottom && dx * (KW - 1) + 1 <= W + left + right
).map(({ N, C, F, H, W, groups, kernel, ...params }) => {
  const w = [F * groups, C, ...kernel];
  return { N, shape: convShape([N, C * groups, H, W], w, { ...params, groups }) };
});

/** Many planes that would be a multiple of 2 KB apart, padded or not. */
export const alignedGeometries: fc.Arbitrary<Case> = fc.record({
  N: fc.integer({ min: 1, max: 2 }),
  groups: fc.integer({ min: 1, max: 2 }),
  C: fc.integer({ min: 9, max: 14 }),
  F: fc.integer({ min: 9, max: 12 }),
  size: fc.constantFrom([16, 32], [8, 64], [16, 16], [14, 30], [32, 32]),
  kernel: fc.constantFrom([1, 1], [3, 3], [2, 1]),
  stride: fc.constantFrom(1, 1, 2),
  pad: fc.nat(1),
}).map(({ N, C, F, size, groups, kernel, stride, pad }) => {
  const x = [N, C * groups, ...size];
  return { N, shape: convShape(x, [F * groups, C, ...kernel], { stride, pad, groups }) };
});

/** Maps and batches for images in the lanes: whole panels, parts of one, and more than the memory holds. */
export const batchedGeometries: fc.Arbitrary<Case> = fc.record({
  N: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 120, max: 140 })),
  groups: fc.integer({ min: 1, max: 3 }),
  C: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant(70)),
  F: fc.integer({ min: 1, max: 11 }),
  size: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 6 })),
  kernel: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  stride: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  dilation: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
  pad: fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3), fc.nat(3)),
}).filter(({ size: [H, W], kernel: [KH, KW], dilation: [dy, dx], pad: [t, l, b, r] }) =>
  dy * (KH - 1) + 1 <= H + t + b && dx * (KW - 1) + 1 <= W + l + r
).map(({ N, C, F, size, groups, kernel, ...params }) => ({
  N,
  shape: convShape([N, C * groups, ...size], [F * groups, C, ...kernel], { ...params, groups }),
}));
