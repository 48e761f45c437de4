/**
 * What stays after a reload: values by key, in the browser's IndexedDB.
 *
 * @module
 */

const DATABASE = "cnn-layers", STORE = "values";

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return result(request);
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function within<T>(
  mode: IDBTransactionMode,
  use: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const database = await open();
  try {
    return await result(use(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

/** The value of a key; undefined if there is none. */
export async function load<T>(key: string): Promise<T | undefined> {
  return await within<T | undefined>("readonly", (store) => store.get(key));
}

/** Keeps a value. */
export async function save(key: string, value: unknown): Promise<void> {
  await within("readwrite", (store) => store.put(value, key));
}

/** Forgets a key. */
export async function forget(key: string): Promise<void> {
  await within("readwrite", (store) => store.delete(key));
}
