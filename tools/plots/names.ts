/** The most letters of a name in a figure. */
const MOST_LETTERS = 14;

/**
 * A name that fits into a figure.
 *
 * @param name The name.
 * @param most The most letters it may have.
 * @returns The name, cut if it is longer.
 */
export function shortName(name: string, most = MOST_LETTERS): string {
  const letters = [...name];
  return letters.length <= most ? name : `${letters.slice(0, most - 1).join("")}…`;
}
