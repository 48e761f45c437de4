/**
 * What JSON.parse does not tell.
 *
 * @module
 */

/** A string, or a sign that opens or closes something or follows a key. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:]/g;

/**
 * A key that an object has twice, of which JSON.parse keeps the last alone.
 *
 * @param text JSON that JSON.parse has read.
 * @returns The first such key; undefined if there is none.
 */
export function duplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  let last = "";
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === "{" || token === "[") open.push(new Set());
    else if (token === "}" || token === "]") open.pop();
    else if (token === ":") {
      const keys = open.at(-1)!, key: string = JSON.parse(last);
      if (keys.has(key)) return key;
      keys.add(key);
    } else last = token;
  }
  return undefined;
}
