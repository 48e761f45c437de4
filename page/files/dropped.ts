/**
 * Files that are dropped on the page or chosen, folders with all that is in them.
 *
 * @module
 */

import type { DroppedFile } from "./own_images.ts";

/** Files that were chosen. */
export function chosenFiles(files: Iterable<File>): readonly DroppedFile[] {
  return Array.from(files, (file) => droppedFile(file, file.webkitRelativePath || file.name));
}

/**
 * Files that were dropped.
 *
 * @param transfer What the event carries; it is read before the event is over.
 */
export async function droppedFiles(transfer: DataTransfer): Promise<readonly DroppedFile[]> {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry?.() ?? undefined);
  const files = [...transfer.files];
  if (entries.every((entry) => entry === undefined)) return chosenFiles(files);
  const found: DroppedFile[] = [];
  for (const entry of entries) if (entry !== undefined) await collect(entry, found);
  return found;
}

async function collect(entry: FileSystemEntry, found: DroppedFile[]): Promise<void> {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject)
    );
    found.push(droppedFile(file, path));
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // A folder is read in parts, until one is empty.
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject)
    );
    if (part.length === 0) return;
    for (const inner of part) await collect(inner, found);
  }
}

function droppedFile(file: File, path: string): DroppedFile {
  return { path, size: file.size, bytes: async () => new Uint8Array(await file.arrayBuffer()) };
}
