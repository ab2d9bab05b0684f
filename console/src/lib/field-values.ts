import { toLocalInput } from "./format";
import type { Flat } from "./merge-patch";

/** How a field is typed in, which decides how text becomes a value and back. A list has commas between its items, words blanks or line breaks. */
export type FieldKind = "text" | "lines" | "code" | "email" | "url" | "number" | "moment" | "list" | "words" | "choice" | "password";

/** What it takes to move a field between a record and an input; inputs hold text. */
export interface FieldValue {
  name: string;
  kind?: FieldKind;
  /** What a new record begins with, and what a choice shows that was never made. */
  initial?: string;
  /** Makes the value where the kind alone cannot, as of a number of days the day when they are over; the other inputs are at hand. */
  toValue?(text: string, texts: Texts): unknown;
  /** The text of a stored value that `toValue` made. */
  fromValue?(value: unknown): string;
}

export type Texts = Record<string, string>;

/** The inputs of a new record. */
export function blank(fields: readonly FieldValue[]): Texts {
  return Object.fromEntries(fields.map((f) => [f.name, f.initial ?? ""]));
}

/** The inputs that show a stored record. */
export function toTexts(fields: readonly FieldValue[], record: Flat): Texts {
  return Object.fromEntries(fields.map((f) => [f.name, toText(f, record[f.name])]));
}

function toText({ kind, initial, fromValue }: FieldValue, value: unknown): string {
  if (fromValue) return fromValue(value);
  if (value === null || value === undefined) return kind === "choice" ? (initial ?? "") : "";
  if (kind === "moment") return toLocalInput(Date.parse(String(value)));
  if (kind === "list") return (value as string[]).join(", ");
  if (kind === "words") return (value as string[]).join("\n");
  return String(value);
}

/** The record's fields as the inputs say them. */
export function toValues(fields: readonly FieldValue[], texts: Texts): Flat {
  return Object.fromEntries(fields.map((f) => [f.name, toValue(f, texts)]));
}

function toValue(field: FieldValue, texts: Texts): unknown {
  const text = texts[field.name] ?? "";
  if (field.toValue) return field.toValue(text, texts);
  if (field.kind === "list") return items(text, /,/);
  if (field.kind === "words") return items(text, /[\s,]+/);
  if (text === "") return null;
  if (field.kind === "number") return Number(text);
  if (field.kind === "moment") return new Date(text).toISOString();
  return text;
}

function items(text: string, between: RegExp): string[] {
  return [...new Set(text.split(between).map((item) => item.trim()))].filter((item) => item !== "");
}

/** The record as its form would store it untouched: an instant is shown to the second and an absent list as none, and neither is a change. */
export function asTyped(fields: readonly FieldValue[], record: Flat): Flat {
  return { ...record, ...toValues(fields, toTexts(fields, record)) };
}
