/**
 * The form of a shape: its text, as a request, and the address that has it.
 *
 * @module
 */

import type { Pad } from "../../kernels/shape.ts";
import type { KernelRequest } from "./report.ts";

/** The fields of the form, and what they hold at first. */
export const FIELDS = {
  x: "100,3,31,31",
  w: "25,3,3,3",
  stride: "2",
  pad: "1",
  dilation: "1",
  groups: "1",
  dtype: "float32",
  direction: "forward",
} as const;

/** The text of each field. */
export type Fields = { readonly [name in keyof typeof FIELDS]: string };

/** Shapes of nets that people know. */
export const EXAMPLES: readonly {
  readonly name: string;
  readonly fields: Partial<Fields>;
}[] = [
  { name: "A 3x3 convolution of stride 2, as in CNN-Layers", fields: {} },
  {
    name: "The 7x7 filters of CS231n's three-layer net",
    fields: { x: "50,3,32,32", w: "32,3,7,7", stride: "1", pad: "3" },
  },
  {
    name: "A layer of ResNet: 64 channels, 3x3",
    fields: { x: "8,64,56,56", w: "64,64,3,3", stride: "1", pad: "1" },
  },
  {
    name: "Many channels on 7x7, one image",
    fields: { x: "1,512,7,7", w: "512,512,3,3", stride: "1", pad: "1" },
  },
  {
    name: "Pointwise, 1x1",
    fields: { x: "8,96,28,28", w: "24,96,1,1", stride: "1", pad: "0" },
  },
  {
    name: "Depthwise, as in MobileNet",
    fields: {
      x: "8,32,112,112",
      w: "32,1,3,3",
      stride: "1",
      pad: "1",
      groups: "32",
    },
  },
  {
    name: "Dilated by 2, in float64",
    fields: {
      ...{ x: "4,16,32,32", w: "16,16,3,3", stride: "1", pad: "2" },
      ...{ dilation: "2", dtype: "float64" },
    },
  },
];

/** What is wrong with a field. */
export class FieldError extends Error {
  /** Which field. */
  readonly field: keyof Fields;

  constructor(field: keyof Fields, message: string) {
    super(message);
    this.field = field;
  }
}

/** Whole numbers with commas between them. */
function numbers(
  fields: Fields,
  field: keyof Fields,
  counts: readonly number[],
  form: string,
) {
  const list = fields[field].split(",").map((text) => text.trim());
  const isRight = counts.includes(list.length) &&
    list.every((text) => /^\d{1,6}$/.test(text));
  if (!isRight) throw new FieldError(field, `${field} must be ${form}`);
  return list.map(Number);
}

/** A number for both directions, or one for each. */
function step(
  fields: Fields,
  field: "stride" | "dilation",
): number | [number, number] {
  const form = "a number such as 2, or two for vertical and horizontal, such as 2,1";
  const [vertical, horizontal] = numbers(fields, field, [1, 2], form);
  return horizontal === undefined ? vertical : [vertical, horizontal];
}

function padOf(fields: Fields): Pad {
  const word = fields.pad.trim();
  if (word === "same" || word === "valid") return word;
  const form = "a number, vertical,horizontal, top,left,bottom,right, same or valid";
  const list = numbers(fields, "pad", [1, 2, 4], form);
  return list.length === 1 ? list[0] : list as [number, number];
}

/**
 * What the fields ask.
 *
 * @param fields The text of each field.
 * @returns The request.
 * @throws {FieldError} If a field cannot be read.
 */
export function requestOf(fields: Fields): KernelRequest {
  const { dtype, direction } = fields;
  const x = numbers(
    fields,
    "x",
    [4],
    "four sizes, N,C,H,W, such as 100,3,31,31",
  );
  const w = numbers(
    fields,
    "w",
    [4],
    "four sizes, F,C/groups,KH,KW, such as 25,3,3,3",
  );
  if (x[0] < 1) throw new FieldError("x", "x must hold an image or more");
  const [groups] = numbers(fields, "groups", [1], "a number, such as 1");
  return {
    x,
    w,
    params: {
      stride: step(fields, "stride"),
      pad: padOf(fields),
      dilation: step(fields, "dilation"),
      groups,
    },
    dtype: dtype === "float64" ? "float64" : "float32",
    direction: direction === "dx" || direction === "dw" ? direction : "forward",
  };
}

/** The part of an address that has the fields. */
export function hashOf(fields: Fields): string {
  const changed = Object.entries(fields).filter(([name, text]) =>
    text !== FIELDS[name as keyof Fields]
  );
  return new URLSearchParams(changed).toString().replaceAll("%2C", ",");
}

/** The fields that an address has. */
export function fieldsOf(hash: string): Fields {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const entries = Object.entries(FIELDS).map((
    [name, text],
  ) => [name, given.get(name) ?? text]);
  return Object.fromEntries(entries);
}
