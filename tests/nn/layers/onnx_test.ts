import { describe, it } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  averagePoolForward,
  averagePoolForwardNaive,
  convForward,
  convForwardNaive,
  convTransposeForward,
  convTransposeForwardNaive,
  type ConvTransposeParams,
  maxPoolForward,
  maxPoolForwardNaive,
  type Pad,
  type PoolParams,
  type Tensor,
} from "../../../mod.ts";
import { assertClose, SEED } from "../../support/kernels.ts";
import {
  anyAveragePool,
  anyConv,
  anyConvTranspose,
  anyMaxPool,
  type PoolCase,
  samePads,
  wholes,
} from "../../support/geometries.ts";
import { type Attributes, runOnnx } from "../../support/onnx.ts";

const list = (value: unknown) => value as readonly number[];
const axes = [0, 1] as const;

/** What a window and its walk have in common. */
interface Walk {
  readonly stride?: unknown;
  readonly pad?: Pad;
  readonly dilation?: unknown;
}

/** Rows and columns of a window, from its first tap to its last. */
const extentsOf = (kernel: readonly number[], { dilation }: Walk) =>
  axes.map((axis) => list(dilation ?? [1, 1])[axis] * (kernel[axis] - 1) + 1);

/** Padding of rows and columns, [before, behind] each, as ONNX has it. */
const padsOf = ([rows, columns]: readonly (readonly number[])[]): Attributes => ({
  pads: [rows[0], columns[0], rows[1], columns[1]],
});

/**
 * Padding as ONNX says it. For SAME_UPPER, ONNX Runtime leaves dilation out of account, or refuses it, and
 * crops in front what no window reaches, where the padding by the specification is 0: there it is told
 * numbers.
 */
function padding(sizes: readonly number[], kernel: readonly number[], walk: Walk): Attributes {
  if (walk.pad === "valid") return { auto_pad: "VALID" };
  if (walk.pad !== "same") return { pads: list(walk.pad) };
  const strides = list(walk.stride), extents = extentsOf(kernel, walk);
  const isPlain = axes.every((axis) =>
    list(walk.dilation ?? [1, 1])[axis] === 1 &&
    (Math.ceil(sizes[axis] / strides[axis]) - 1) * strides[axis] + extents[axis] >= sizes[axis]
  );
  if (isPlain) return { auto_pad: "SAME_UPPER" };
  return padsOf(axes.map((axis) => samePads(sizes[axis], extents[axis], strides[axis])));
}

/**
 * The same of a transposed convolution, with outputPad. For SAME_UPPER, ONNX Runtime gives less than the
 * stride times the input where the kernel is smaller than the stride: there it is told numbers.
 */
function transposedPadding(kernel: readonly number[], walk: ConvTransposeParams): Attributes {
  const strides = list(walk.stride), extents = extentsOf(kernel, walk);
  const missing = axes.map((axis) => Math.max(0, strides[axis] - extents[axis]));
  if (walk.pad !== "same") {
    return { ...padding([], kernel, walk), output_padding: list(walk.outputPad) };
  }
  if (Math.max(...missing) === 0) return { auto_pad: "SAME_UPPER" };
  const pads = axes.map((axis) => {
    const total = Math.max(0, extents[axis] - strides[axis]);
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  });
  return { ...padsOf(pads), output_padding: missing };
}

/** A pool's attributes. */
function poolAttributes(xShape: readonly number[], params: PoolParams): Attributes {
  const kernel = [params.poolHeight, params.poolWidth];
  return {
    kernel_shape: kernel,
    strides: list(params.stride),
    ceil_mode: Number(params.ceilMode),
    ...padding(xShape.slice(2), kernel, params),
  };
}

/** ONNX Runtime takes less padding than the window has taps, however far these are apart. */
function isTaken({ xShape, params }: PoolCase<PoolParams>): boolean {
  const { kernel_shape, pads = [0, 0, 0, 0] } = poolAttributes(xShape, params);
  return list(pads).every((side, i) => side < list(kernel_shape)[i % 2]);
}

const runs = (numRuns: number) => ({ numRuns, seed: SEED });

describe("ONNX Runtime gives the same,", () => {
  it("convolutions with dilations, groups and auto_pad", async () => {
    await fc.assert(
      fc.asyncProperty(
        anyConv,
        fc.boolean(),
        async ({ xShape, wShape, biases, params }, biased) => {
          const x = wholes(xShape, "float32"), w = wholes(wShape, "float32");
          const b = biased ? wholes([biases], "float32") : null;
          const { stride, dilation, groups } = params;
          const attributes = {
            kernel_shape: wShape.slice(2),
            strides: list(stride),
            dilations: list(dilation),
            group: groups,
            ...padding(xShape.slice(2), wShape.slice(2), params),
          };
          const expected = await runOnnx("Conv", attributes, x, w, ...b === null ? [] : [b]);
          for (const forward of [convForward, convForwardNaive]) {
            assertEquals(forward<Tensor["data"], Tensor | null>(x, w, b, params).out, expected);
          }
        },
      ),
      runs(150),
    );
  });

  it("transposed convolutions with output_padding, dilations and groups", async () => {
    await fc.assert(
      fc.asyncProperty(anyConvTranspose, async ({ xShape, wShape, biases, params }) => {
        const x = wholes(xShape, "float32"), w = wholes(wShape, "float32");
        const b = wholes([biases], "float32");
        const { stride, dilation, groups } = params;
        const attributes = {
          kernel_shape: wShape.slice(2),
          strides: list(stride),
          dilations: list(dilation),
          group: groups,
          ...transposedPadding(wShape.slice(2), params),
        };
        const expected = await runOnnx("ConvTranspose", attributes, x, w, b);
        for (const forward of [convTransposeForward, convTransposeForwardNaive]) {
          assertEquals(forward<Tensor["data"]>(x, w, b, params).out, expected);
        }
      }),
      runs(150),
    );
  });

  it("max-pools with dilations and ceil_mode", async () => {
    await fc.assert(
      fc.asyncProperty(anyMaxPool.filter(isTaken), async (c) => {
        const x = wholes(c.xShape, "float32");
        const attributes = {
          ...poolAttributes(c.xShape, c.params),
          dilations: list(c.params.dilation),
        };
        const expected = await runOnnx("MaxPool", attributes, x);
        for (const forward of [maxPoolForward, maxPoolForwardNaive]) {
          assertEquals(forward(x, c.params).out, expected);
        }
      }),
      runs(100),
    );
  });

  it("average pools with count_include_pad and ceil_mode", async () => {
    await fc.assert(
      fc.asyncProperty(anyAveragePool, async ({ xShape, params }) => {
        const x = wholes(xShape, "float32");
        const count_include_pad = Number(params.countIncludePad);
        const attributes = { ...poolAttributes(xShape, params), count_include_pad };
        const expected = await runOnnx("AveragePool", attributes, x);
        for (const forward of [averagePoolForward, averagePoolForwardNaive]) {
          const { out } = forward(x, params);
          assertEquals(out.shape, expected.shape);
          assertClose(out.data, expected.data, "reals", "float32", "out");
        }
      }),
      runs(100),
    );
  });
});
