/**
 * Installs the service worker, which keeps the page for use without a connection, and isolates it
 * where the host's headers do not.
 *
 * @module
 */

/** Remembers that the page has been reloaded to become isolated: once is enough. */
const RELOADED = "reloaded-to-isolate";

/**
 * Installs it. A page that is not isolated is then loaded again, once, to become so.
 *
 * @param mayReload Whether the page may be loaded again at that moment.
 */
export async function goOffline(mayReload: () => boolean): Promise<void> {
  const { serviceWorker } = navigator;
  if (serviceWorker === undefined || !globalThis.isSecureContext) return;
  await serviceWorker.register("service_worker.js");
  const { active } = await serviceWorker.ready;
  if (!globalThis.crossOriginIsolated && sessionStorage.getItem(RELOADED) === null) {
    await activated(active);
    if (!mayReload()) return;
    sessionStorage.setItem(RELOADED, "yes");
    location.reload();
    return;
  }
  // The rest of the images, when nothing else needs the connection.
  active?.postMessage("keep the images");
}

function activated(worker: ServiceWorker | null): Promise<void> {
  if (worker === null || worker.state === "activated") return Promise.resolve();
  return new Promise((resolve) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve();
    });
  });
}
