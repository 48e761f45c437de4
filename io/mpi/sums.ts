/**
 * Sums of gradients over all ranks, sent while others are still computed.
 *
 * Tensors are collected in buckets. When one is full, each rank gets its slice of every rank's partial
 * sums, adds them in the order of the micro-batches, and gives the sum to all. So an update sends what an
 * all-reduce by reduce-scatter and all-gather sends; but the order of the sums, and so their bits, depends
 * on the micro-batches alone, and not on the ranks.
 *
 * Source: buckets as in Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel
 * Training" (2020).
 *
 * @module
 */

import { dtypeOf, type FloatArray } from "../../kernels/tensor.ts";
import {
  PairwiseSum,
  type PartialSum,
  partialSums,
  totalOf,
} from "../../nn/training/pairwise_sum.ts";
import { type ParallelSums, shareOf } from "../../nn/training/parallel.ts";
import type { Communicator, Transfer } from "./communicator.ts";

type Numbers = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;
type Parts = readonly Omit<PartialSum, "data">[];

/** Makes the sums of one update after the other, in the same arrays. */
export class BucketedSums {
  readonly #rank: number;
  readonly #size: number;
  readonly #bucketBytes: number;
  /** One for the way there, and one for the way back: a rank may begin a bucket before another has ended one. */
  readonly #there: Communicator;
  readonly #back: Communicator;
  /** The arrays of each bucket of an update, which the next one uses again. */
  readonly #arrays: Arrays[] = [];

  constructor(world: Communicator, bucketBytes: number) {
    this.#rank = world.rank;
    this.#size = world.size;
    this.#bucketBytes = bucketBytes;
    this.#there = world.duplicate();
    this.#back = world.duplicate();
  }

  /** Begins the sums of an update. */
  begin(count: number): ParallelSums {
    const parts = Array.from(
      { length: this.#size },
      (_, rank) => partialSums(...shareOf(count, { rank, size: this.#size })),
    );
    const buckets: Bucket[] = [];
    let open: Bucket | undefined, sent = 0, added = 0;
    const send = () => {
      if (open === undefined) return;
      open.send(this.#there, this.#arrays[buckets.length] ??= new Arrays());
      buckets.push(open);
      open = undefined;
    };
    /** Gets on with what is under way; buckets come back in order, as all ranks must begin alike. */
    const advance = (wait: boolean) => {
      for (; added < buckets.length; added++) {
        if (!buckets[added].add(this.#back, wait)) break;
      }
      for (; sent < added; sent++) if (!buckets[sent].arrived(wait)) break;
    };
    return {
      add: (own) => {
        const [{ data }] = own;
        if (open !== undefined && open.dtype !== dtypeOf(data)) send();
        const bucket = open ??= new Bucket(this.#rank, parts, dtypeOf(data));
        const start = bucket.append(own);
        if (bucket.bytes >= this.#bucketBytes) send();
        advance(false);
        return () => bucket.result.subarray(start, start + data.length);
      },
      end: () => {
        send();
        advance(true);
      },
    };
  }
}

/** Arrays that are made once. */
class Arrays {
  readonly #made: Numbers[] = [];

  /** An array; what is in it does not matter. */
  take(place: number, dtype: Bucket["dtype"], length: number): Numbers {
    const made = this.#made[place];
    if (made?.length === length && dtypeOf(made) === dtype) return made;
    const buffer = new ArrayBuffer(length * BYTES[dtype]);
    return this.#made[place] = dtype === "float32"
      ? new Float32Array(buffer)
      : new Float64Array(buffer);
  }
}

const BYTES = { float32: 4, float64: 8 };

/** Some tensors that are summed together. */
class Bucket {
  readonly dtype: ReturnType<typeof dtypeOf>;
  /** The sums, when they have arrived. */
  result!: Numbers;
  readonly #rank: number;
  /** The partial sums of each rank. */
  readonly #parts: readonly Parts[];
  /** Those of this rank, of tensor after tensor. */
  readonly #tensors: (readonly PartialSum[])[] = [];
  #length = 0;
  #slices: readonly number[] = [];
  #received!: Numbers;
  #arrays!: Arrays;
  #there!: Transfer;
  #back!: Transfer;

  constructor(rank: number, parts: readonly Parts[], dtype: Bucket["dtype"]) {
    this.#rank = rank;
    this.#parts = parts;
    this.dtype = dtype;
  }

  /** What a rank has of it, in bytes. */
  get bytes(): number {
    return this.#length * BYTES[this.dtype];
  }

  /** Appends a tensor; gives where it begins. */
  append(parts: readonly PartialSum[]): number {
    const start = this.#length;
    this.#tensors.push(parts);
    this.#length += parts[0].data.length;
    return start;
  }

  /** Sends each rank its slice of every partial sum. */
  send(there: Communicator, arrays: Arrays): void {
    const ranks = this.#parts.length, own = this.#parts[this.#rank].length;
    const all = this.#parts.reduce((sum, parts) => sum + parts.length, 0);
    const slices = this.#slices = Array.from({ length: ranks }, (_, rank) => {
      const [first, end] = shareOf(this.#length, { rank, size: ranks });
      return end - first;
    });
    const sent = arrays.take(0, this.dtype, own * this.#length);
    this.#received = arrays.take(1, this.dtype, all * slices[this.#rank]);
    this.#arrays = arrays;
    let start = 0, place = 0;
    for (const length of slices) {
      for (let part = 0; part < own; part++, place += length) {
        this.#copy(part, start, start + length, sent.subarray(place));
      }
      start += length;
    }
    const bytes = BYTES[this.dtype];
    this.#there = there.scatter(
      sent,
      slices.map((length) => own * length * bytes),
      this.#received,
      this.#parts.map((parts) => parts.length * slices[this.#rank] * bytes),
    );
  }

  /** Copies values of one partial sum of the tensors, one after the other. */
  #copy(part: number, from: number, end: number, to: FloatArray): void {
    let start = 0;
    for (const parts of this.#tensors) {
      const { data } = parts[part];
      const first = Math.max(from - start, 0), last = Math.min(end - start, data.length);
      if (first < last) to.set(data.subarray(first, last), start + first - from);
      start += data.length;
    }
  }

  /** Adds what has come, and sends the sum back; false if it is still on its way. */
  add(back: Communicator, wait: boolean): boolean {
    if (wait) this.#there.wait();
    else if (!this.#there.test()) return false;
    const length = this.#slices[this.#rank], sum = new PairwiseSum();
    for (const [i, part] of this.#parts.flat().entries()) {
      sum.add({ ...part, data: this.#received.subarray(i * length, (i + 1) * length) }, false);
    }
    const bytes = BYTES[this.dtype];
    // MPI sends from one array and receives into another.
    const slice = this.#arrays.take(2, this.dtype, length);
    slice.set(totalOf(sum.parts));
    this.result = this.#arrays.take(3, this.dtype, this.#length);
    this.#back = back.gather(slice, this.result, this.#slices.map((length) => length * bytes));
    return true;
  }

  /** Whether the sums have arrived. */
  arrived(wait: boolean): boolean {
    if (wait) this.#back.wait();
    return wait || this.#back.test();
  }
}
