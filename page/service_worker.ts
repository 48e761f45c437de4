/**
 * The service worker: the page without a connection, and isolated on hosts that send no such headers.
 * The build writes SITE before this code: which files there are.
 *
 * @module
 */

/** What the build knows. */
interface Site {
  /** Another one for each build. */
  readonly version: string;
  /** The files of the page itself. */
  readonly shell: readonly string[];
  /** The files of the images. */
  readonly pieces: readonly string[];
}

// The types of a service worker and of a page exclude each other: what is used, by its shape.
interface Scope {
  readonly SITE: Site;
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: string, listener: (event: WorkerEvent) => void): void;
}

interface WorkerEvent {
  readonly request: Request;
  readonly data: unknown;
  waitUntil(work: Promise<unknown>): void;
  respondWith(response: Promise<Response>): void;
}

const scope = globalThis as unknown as Scope;
const { version, shell, pieces } = scope.SITE;
const PREFIX = "cnn-layers-", CACHE = PREFIX + version;

/** The full address of a file. */
const urlOf = (file: string) => new URL(file, scope.registration.scope).href;

scope.addEventListener("install", (event) => event.waitUntil(install()));
scope.addEventListener("activate", (event) => event.waitUntil(activate()));
scope.addEventListener("message", ({ data, waitUntil }) => {
  if (data === "keep the images") waitUntil(keepPieces());
});
scope.addEventListener("fetch", (event) => {
  const { method, url } = event.request, { href } = withoutQuery(url);
  if (method !== "GET" || !href.startsWith(scope.registration.scope)) return;
  event.respondWith(answer(event.request, href));
});

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  // Not from the browser's own cache, which may hold files of another version.
  await cache.addAll(shell.map((file) => new Request(urlOf(file), { cache: "reload" })));
  await scope.skipWaiting();
}

async function activate(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  }
  await scope.clients.claim();
}

/** Keeps the images that have not been kept when they were loaded. */
async function keepPieces(): Promise<void> {
  const cache = await caches.open(CACHE);
  for (const url of pieces.map(urlOf)) {
    if (await cache.match(url) !== undefined) continue;
    // Without a connection the rest comes at the next visit.
    const response = await fetch(url).catch(() => undefined);
    if (!response?.ok) return;
    await cache.put(url, response);
  }
}

/** Images come from what was kept, the page itself from the host if it can be reached. */
async function answer(request: Request, href: string): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(href), isPiece = pieces.map(urlOf).includes(href);
  if (kept !== undefined && isPiece) return isolated(kept);
  try {
    const response = await fetch(request);
    const isKnown = isPiece || shell.map(urlOf).includes(href);
    if (response.ok && isKnown) await cache.put(href, response.clone());
    return isolated(response);
  } catch (error) {
    if (kept !== undefined) return isolated(kept);
    throw error;
  }
}

/** A response with the headers that give a page shared memory. */
function isolated(response: Response): Response {
  if (response.status === 0 || response.type === "opaqueredirect") return response;
  const { body, status, statusText } = response, headers = new Headers(response.headers);
  headers.set("cross-origin-opener-policy", "same-origin");
  headers.set("cross-origin-embedder-policy", "require-corp");
  return new Response(body, { status, statusText, headers });
}

function withoutQuery(url: string): URL {
  const bare = new URL(url);
  bare.search = bare.hash = "";
  return bare;
}
