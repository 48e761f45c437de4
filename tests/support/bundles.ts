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

/** A page's script, bundled without generated kernels and minified. */
export async function minified(script: string): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await Deno.makeTempDir();
  try {
    const kernels = new URL("../../kernels/generated/kernels/index.ts", import.meta.url).href;
    const none =
      "export const generatedConvs = [], generatedPools = [], generatedAveragePools = [];";
    const imports = { [kernels]: "./none.ts" };
    await Deno.writeTextFile(`${folder}/none.ts`, none);
    await Deno.writeTextFile(`${folder}/import_map.json`, JSON.stringify({ imports }));
    await Deno.writeTextFile(`${folder}/page.ts`, script);
    const options = ["--quiet", "--minify", "--platform", "browser"];
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["bundle", ...options, "--import-map", "import_map.json", "page.ts"],
      cwd: folder,
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return stdout;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The bytes of a script when it is gzipped. */
export async function zippedSize(script: Uint8Array<ArrayBuffer>): Promise<number> {
  const zipped = new Blob([script]).stream().pipeThrough(new CompressionStream("gzip"));
  return (await new Response(zipped).arrayBuffer()).byteLength;
}

/** Modules as text. */
export interface Bundles {
  readonly mod: string;
  readonly tiers: string;
  readonly reproducible: string;
}

/** mod.ts, and what runs on it, which knows mod.ts by its types alone. */
export async function bundles(): Promise<Bundles> {
  const modules = ["../../mod.ts", "tiers.ts", "reproducible.ts"];
  const [mod, tiers, reproducible] = await Promise.all(modules.map(bundle));
  return { mod, tiers, reproducible };
}
