/**
 * Whether the engine runs pairs of vectors as one of 32 bytes: V8 does, if it is told to by
 * `--experimental-wasm-revectorize`, the processor has such vectors, and nothing lies between the two
 * loads or stores of a pair, such as a check of their bounds. Nothing says so but the time that it takes.
 *
 * @module
 */

import { Assembly, type Func } from "./assembler.ts";
import { productLocals, writeProductTile } from "./emit_product.ts";
import { type Vector, vectorsIn } from "./vector.ts";

/** The product that is timed: some rows, a tile wide, of so many steps; as many as take some microseconds. */
const ROWS = 4, STEPS = 256, TIMES = 32;
/** Where the second matrix and the result lie, in bytes. */
const B = 1 << 13, C = 1 << 15;
/** How many times faster code is at least when it has been optimized. */
const OPTIMIZED = 2;
/** How many times faster pairs must be than single vectors. */
const FASTER = 1.3;
/** Milliseconds after which an engine that has optimized nothing never will, and all must be done. */
const PATIENCE = 20, LIMIT = 60;
/** Calls of each that are timed once both have been optimized. */
const CALLS = 10;
/** An engine may optimize too soon to be seen: so often everything is done again. */
const ATTEMPTS = 3;

/** Writes the product, as often as the function's parameter says. */
function writeProbe(f: Func, vector: Vector): void {
  const locals = productLocals(f, vector, ROWS), [c, steps] = f.locals("i32", 2);
  f.const(C).set(c).const(STEPS).set(steps);
  f.countDown(0, 0, () => {
    f.const(0).set(locals.a).const(B).set(locals.b);
    writeProductTile(f, vector, true, { rows: ROWS, step: 16, row: 64 }, locals, c, steps, c);
  });
}

/** The same product, by one kind of vectors. */
class Timed {
  readonly #multiply: (times: number) => void;
  #calls = 0;
  #before = Infinity;
  #least = Infinity;

  constructor(multiply: (times: number) => void) {
    this.#multiply = multiply;
  }

  /** Runs it once more. */
  run(): void {
    const from = performance.now();
    this.#multiply(TIMES);
    const time = performance.now() - from;
    // The first call compiles; the two after it are how fast the engine begins.
    if (++this.#calls > 1) this.#least = Math.min(this.#least, time);
    if (this.#calls <= 3) this.#before = this.#least;
  }

  /** The least time; undefined as long as the engine has not optimized it. */
  get optimized(): number | undefined {
    return this.#before > OPTIMIZED * this.#least ? this.#least : undefined;
  }
}

/**
 * The probe's module, other bytes each time: engines have one code for modules of the same bytes, which
 * would be optimized from the beginning if another thread has run it.
 */
function probe(): Uint8Array<ArrayBuffer> {
  const assembly = new Assembly();
  writeProbe(assembly.func("single", ["i32"]), vectorsIn("float32", false));
  writeProbe(assembly.func("paired", ["i32"]), vectorsIn("float32", true));
  const code = assembly.bytes(), { length } = code;
  const bytes = new Uint8Array(length + 11);
  bytes.set(code);
  // A section that engines skip: its number and size, no name, and what makes the difference.
  bytes.set([0, 9, 0], length);
  bytes.set(new Uint8Array(Float64Array.of(Math.random()).buffer), length + 3);
  return bytes;
}

/** Times both kinds; undefined if the engine was not seen to optimize both. */
function arePairsFaster(): boolean | undefined {
  const e = { m: new WebAssembly.Memory({ initial: 1 }) };
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(probe()), { e });
  const [single, paired] = ["single", "paired"].map((name) =>
    new Timed(exports[name] as (times: number) => void)
  );
  const begin = performance.now();
  while (single.optimized === undefined || paired.optimized === undefined) {
    single.run();
    paired.run();
    const time = performance.now() - begin;
    const some = single.optimized ?? paired.optimized;
    if (time > (some === undefined ? PATIENCE : LIMIT)) return undefined;
  }
  for (let i = 0; i < CALLS; i++) {
    single.run();
    paired.run();
  }
  // A pair is twice as many numbers.
  return 2 * single.optimized > FASTER * paired.optimized;
}

/**
 * Times products by pairs and by single vectors when the engine has optimized both.
 *
 * @returns Whether pairs are faster.
 */
export function timePairs(): boolean {
  for (let i = 0; i < ATTEMPTS; i++) {
    const faster = arePairsFaster();
    if (faster !== undefined) return faster;
  }
  return false;
}
