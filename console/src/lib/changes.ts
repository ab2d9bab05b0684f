/** What an event says of the fields that it changed. */
export interface FieldChange {
  field: string;
  before: unknown;
  after: unknown;
}

type Sides = Partial<Record<"before" | "after", Record<string, unknown>>>;

/** Every field that either side names, in the order of their names. */
export function changesOf(data: unknown): FieldChange[] {
  const { before = {}, after = {} } = (data ?? {}) as Sides;
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return fields.map((field) => ({ field, before: before[field] ?? null, after: after[field] ?? null }));
}
