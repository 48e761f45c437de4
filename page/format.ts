/**
 * Numbers as people read them.
 *
 * @module
 */

/** 0.9731 as "97.3 %", which is not broken over two lines. */
export function percent(part: number, digits = 1): string {
  return `${(100 * part).toFixed(digits)}\u00a0%`;
}

/** 1234567 as "1,234,567". */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** 41234 as "41,200": three digits are enough for a speed. */
export function speed(value: number): string {
  if (!(value > 0)) return "–";
  return Number(value.toPrecision(3)).toLocaleString("en");
}

/** [8, 28, 28] as "8 × 28 × 28". */
export function shapeText(shape: readonly number[]): string {
  return shape.join(" × ");
}

/** 1234567 as "1.23 M", for narrow columns. */
export function short(value: number): string {
  for (const [unit, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) {
    if (value >= 10 * unit || (unit > 1e3 && value >= unit)) {
      return `${Number((value / unit).toPrecision(3))}\u00a0${letter}`;
    }
  }
  return count(value);
}

/** A value with few digits, with a true minus. */
export function decimal(value: number, digits = 2): string {
  const text = value.toFixed(digits);
  return /^-0\.?0*$/.test(text) ? text.slice(1) : text.replace("-", "−");
}

/** What an error says, in one line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
