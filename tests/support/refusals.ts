/**
 * Tables of wrong calls: every public function refuses them before it writes, by a class and a message.
 *
 * @module
 */

import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertThrows } from "@std/assert";
import { ArgumentRangeError, ArgumentTypeError } from "../../mod.ts";

/** Arguments that must be refused, with the error's class and message. */
export type Bad = readonly [
  what: string,
  args: readonly unknown[],
  error: typeof TypeError | typeof RangeError,
  message: string,
];

/** Any function, called with arguments that its types forbid. */
export type Loose = (...args: readonly unknown[]) => unknown;

/** Tests that functions refuse what their tables hold, and leave the arguments as they were. */
export function describeRefusals(refusals: readonly (readonly [Loose, readonly Bad[]])[]): void {
  for (const [call, rows] of refusals) {
    describe(`${call.name}() refuses`, () => {
      for (const [what, args, error, message] of rows) {
        it(`${what}, before it writes`, () => {
          const kept = structuredClone(args);
          const ours = error === TypeError ? ArgumentTypeError : ArgumentRangeError;
          const thrown = assertThrows(() => call(...args), ours);
          assertEquals([thrown instanceof error, thrown.message], [true, message]);
          assertEquals(args, kept);
        });
      }
    });
  }
}
