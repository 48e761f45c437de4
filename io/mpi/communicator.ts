/**
 * What the processes of an MPI job send each other.
 *
 * Every transfer is begun and then waited for, in buffers that stay where they are: JavaScript's memory
 * manager moves small arrays, and MPI writes after the call has returned.
 *
 * @module
 */

import { dtypeOf } from "../../kernels/tensor.ts";
import type { Address, Library } from "./library.ts";

/** Room for an MPI_Status of any library, which nobody reads. */
const status = new Uint8Array(256);

/** What is under way. */
export interface Transfer {
  /** Whether it is done. MPI also gets on with others meanwhile. */
  test(): boolean;
  /** Waits until it is done. */
  wait(): void;
}

/** An array whose numbers stay where they are: one that is made without a buffer may be moved. */
export type Buffer =
  | Uint8Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** A communicator: transfers of one are begun in the same order by every rank. */
export class Communicator {
  readonly #library: Library;
  readonly #handle: bigint;

  constructor(library: Library, handle: bigint) {
    this.#library = library;
    this.#handle = handle;
  }

  get rank(): number {
    const rank = new Int32Array(1);
    this.#library.symbols.MPI_Comm_rank(this.#handle, rank);
    return rank[0];
  }

  get size(): number {
    const size = new Int32Array(1);
    this.#library.symbols.MPI_Comm_size(this.#handle, size);
    return size[0];
  }

  /** Another one with the same processes, whose transfers have an order of their own. */
  duplicate(): Communicator {
    const handle = new BigUint64Array(1);
    this.#library.symbols.MPI_Comm_dup(this.#handle, handle);
    return new Communicator(this.#library, handle[0]);
  }

  /** Ends all processes. */
  abort(code: number): void {
    this.#library.symbols.MPI_Abort(this.#handle, code);
  }

  /** Sends bytes of one rank to all. */
  broadcast(bytes: Uint8Array<ArrayBuffer>, root: number): Transfer {
    const { symbols, codes } = this.#library;
    return begun(symbols, [bytes], (request) =>
      symbols.MPI_Ibcast(
        pointerTo(bytes),
        bytes.length,
        codes.byte,
        root,
        this.#handle,
        request,
      ));
  }

  /** Adds arrays of all ranks, in an order that depends on their number. */
  sum<T extends Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(from: T, to: T): Transfer {
    const { symbols, codes } = this.#library;
    return begun(symbols, [from, to], (request) =>
      symbols.MPI_Iallreduce(
        pointerTo(from),
        pointerTo(to),
        from.length,
        codes[dtypeOf(from)],
        codes.sum,
        this.#handle,
        request,
      ));
  }

  /**
   * Gives all ranks what each has.
   *
   * @param from What this one has.
   * @param to Room for all of it, rank by rank.
   * @param counts How many bytes each rank has.
   */
  gather(from: Buffer, to: Buffer, counts: readonly number[]): Transfer {
    const { symbols, codes: { byte } } = this.#library;
    const lengths = fixed(counts), places = fixed(placesOf(counts));
    return begun(symbols, [from, to, lengths, places], (request) =>
      symbols.MPI_Iallgatherv(
        pointerTo(from),
        from.byteLength,
        byte,
        ...[pointerTo(to), pointerTo(lengths), pointerTo(places), byte] as const,
        this.#handle,
        request,
      ));
  }

  /**
   * Gives each rank what the others have for it.
   *
   * @param from What this one has for each, rank by rank.
   * @param sent How many bytes that is.
   * @param to Room for what it gets, rank by rank.
   * @param received How many bytes that is.
   */
  scatter(
    from: Buffer,
    sent: readonly number[],
    to: Buffer,
    received: readonly number[],
  ): Transfer {
    const { symbols, codes: { byte } } = this.#library;
    const tables = [sent, placesOf(sent), received, placesOf(received)].map(fixed);
    const [a, b, c, d] = tables.map(pointerTo);
    return begun(symbols, [from, to, ...tables], (request) =>
      symbols.MPI_Ialltoallv(
        ...[pointerTo(from), a, b, byte] as const,
        ...[pointerTo(to), c, d, byte] as const,
        this.#handle,
        request,
      ));
  }
}

function fixed(numbers: readonly number[]): Int32Array<ArrayBuffer> {
  const array = new Int32Array(new ArrayBuffer(4 * numbers.length));
  array.set(numbers);
  return array;
}

function placesOf(counts: readonly number[]): number[] {
  let place = 0;
  return counts.map((count) => (place += count) - count);
}

function pointerTo(buffer: Buffer): Address {
  return Deno.UnsafePointer.of(buffer);
}

/** Begins a transfer, whose buffers are kept until it is done. */
function begun(
  { MPI_Test, MPI_Wait }: Library["symbols"],
  buffers: readonly Buffer[],
  begin: (request: Uint8Array<ArrayBuffer>) => number,
): Transfer {
  const request = new Uint8Array(new ArrayBuffer(8)), flag = new Int32Array(1);
  let kept: readonly Buffer[] | undefined = buffers;
  begin(request);
  return {
    test() {
      if (kept === undefined) return true;
      MPI_Test(request, flag, status);
      if (flag[0] !== 0) kept = undefined;
      return kept === undefined;
    },
    wait() {
      if (kept !== undefined) MPI_Wait(request, status);
      kept = undefined;
    },
  };
}
