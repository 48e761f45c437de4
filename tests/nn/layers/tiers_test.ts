import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import {
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
  type DType,
  maxPoolBackward,
  maxPoolBackwardNaive,
  maxPoolForward,
  maxPoolForwardNaive,
  type Tensor,
  useKernels,
} from "../../../mod.ts";
import { assertClose, GEOMETRIES, SEED } from "../../support/kernels.ts";
import {
  anyAveragePool,
  anyConv,
  anyConvTranspose,
  anyMaxPool,
  type WeightedCase,
  wholes,
} from "../../support/geometries.ts";

type Results = Readonly<Record<string, Tensor | null>>;

/** A layer with weights, forward and backward. */
type Weighted<P> = (c: WeightedCase<P>, x: Tensor, w: Tensor, b: Tensor | null) => Results;

/** Runs a layer by the definition and by every tier, and compares every result, to the last digit. */
function compare(dtype: DType, naive: () => Results, fast: () => Results, what: string): void {
  const expected = naive();
  for (const kernels of ["simd", "generated", "naive"] as const) {
    using _ = useKernels(kernels);
    const actual = fast();
    for (const [name, tensor] of Object.entries(expected)) {
      if (tensor === null) continue;
      const title = `${kernels} ${what} ${name}`;
      assertClose(actual[name]!.data, tensor.data, "integers", dtype, title);
    }
  }
}

const parameters = { numRuns: GEOMETRIES, seed: SEED };
/** One case in three has no biases. */
const biased = fc.nat(2).map((n) => n > 0);

/** A layer with weights by each tier, over any geometries. */
function checkWeighted<P>(
  dtype: DType,
  any: fc.Arbitrary<WeightedCase<P>>,
  naive: Weighted<P>,
  fast: Weighted<P>,
): void {
  fc.assert(
    fc.property(any, biased, (c, hasBiases) => {
      const x = wholes(c.xShape, dtype), w = wholes(c.wShape, dtype);
      const b = hasBiases ? wholes([c.biases], dtype) : null;
      compare(dtype, () => naive(c, x, w, b), () => fast(c, x, w, b), JSON.stringify(c));
    }),
    parameters,
  );
}

for (const dtype of ["float32", "float64"] as const) {
  /** The gradient of an output: made once for each of its shapes, so that every tier gets the same. */
  const douts = new Map<string, Tensor>();
  const doutOf = ({ shape }: Tensor): Tensor => {
    const key = shape.join();
    const dout = douts.get(key) ?? wholes(shape, dtype);
    douts.set(key, dout);
    return dout;
  };

  describe(`Every tier is equal to the definition on whole numbers, ${dtype}:`, () => {
    it("convolutions with dilation, groups, any padding, and with or without biases", () => {
      checkWeighted(dtype, anyConv, ({ params }, x, w, b) => {
        const { out, cache } = convForwardNaive(x, w, b, params);
        return { out, ...convBackwardNaive(doutOf(out), cache) };
      }, ({ params }, x, w, b) => {
        const { out, cache } = convForward(x, w, b, params);
        return { out, ...convBackward(doutOf(out), cache) };
      });
    });

    it("transposed convolutions", () => {
      checkWeighted(dtype, anyConvTranspose, ({ params }, x, w, b) => {
        const { out, cache } = convTransposeForwardNaive(x, w, b, params);
        return { out, ...convTransposeBackwardNaive(doutOf(out), cache) };
      }, ({ params }, x, w, b) => {
        const { out, cache } = convTransposeForward(x, w, b, params);
        return { out, ...convTransposeBackward(doutOf(out), cache) };
      });
    });

    it("max-pools with dilation, ceil mode and any padding", () => {
      fc.assert(
        fc.property(anyMaxPool, ({ xShape, params }) => {
          const x = wholes(xShape, dtype);
          compare(dtype, () => {
            const { out, cache } = maxPoolForwardNaive(x, params);
            return { out, dx: maxPoolBackwardNaive(doutOf(out), cache) };
          }, () => {
            const { out, cache } = maxPoolForward(x, params);
            return { out, dx: maxPoolBackward(doutOf(out), cache) };
          }, JSON.stringify({ xShape, params }));
        }),
        parameters,
      );
    });

    it("average pools with ceil mode, any padding, counted or not", () => {
      fc.assert(
        fc.property(anyAveragePool, ({ xShape, params }) => {
          // Multiples of every count of a window, so that quotients are whole too.
          const scale = 3600;
          const times = ({ data, shape }: Tensor) => ({ data: data.map((v) => v * scale), shape });
          const x = times(wholes(xShape, dtype));
          compare(dtype, () => {
            const { out, cache } = averagePoolForwardNaive(x, params);
            return { out, dx: averagePoolBackwardNaive(times(doutOf(out)), cache) };
          }, () => {
            const { out, cache } = averagePoolForward(x, params);
            return { out, dx: averagePoolBackward(times(doutOf(out)), cache) };
          }, JSON.stringify({ xShape, params }));
        }),
        parameters,
      );
    });
  });
}
