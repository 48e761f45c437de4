/**
 * Bundles for the tests in other hosts.
 *
 * @module
 */

/** Bundles a module of this project, named from this folder, into one file of plain JavaScript. */
export async function bundle(module: string): Promise<string> {
  const { pathname } = new URL(module, import.meta.url);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "browser", pathname],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Modules as text. */
export interface Bundles {
  readonly mod: string;
  readonly tiers: string;
  readonly reproducible: string;
}

/** mod.ts, and what runs on it, which knows mod.ts by its types alone. */
export async function bundles(): Promise<Bundles> {
  // One after the other: the first may have to download the bundler.
  const mod = await bundle("../../mod.ts");
  const tiers = await bundle("tiers.ts"), reproducible = await bundle("reproducible.ts");
  return { mod, tiers, reproducible };
}
