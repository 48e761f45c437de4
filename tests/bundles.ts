/**
 * Bundles for the tests in other hosts.
 *
 * @module
 */

/** Bundles a module of this project into one file of plain JavaScript. */
async function bundle(module: string): Promise<string> {
  const { pathname } = new URL(module, import.meta.url);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "browser", pathname],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** mod.ts, and the checks of tiers.ts, which know mod.ts by its types alone. */
export async function bundles(): Promise<{ readonly mod: string; readonly tiers: string }> {
  const [mod, tiers] = await Promise.all([bundle("../mod.ts"), bundle("tiers.ts")]);
  return { mod, tiers };
}
