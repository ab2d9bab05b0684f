/** The URL's query as flat strings: readable, editable by hand, the same for every page. */
export type Search = Record<string, string>;

export function parseSearch(text: string): Search {
  return Object.fromEntries(new URLSearchParams(text));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    if (value === undefined || value === null || value === "") continue;
    params.set(key, String(value));
  }
  const text = params.toString();
  return text ? `?${text}` : "";
}

/** Keeps the named keys that are non-empty strings; everything else in the URL is ignored. */
export function pickSearch<const K extends readonly string[]>(search: Record<string, unknown>, keys: K): Partial<Record<K[number], string>> {
  const out: Record<string, string> = {};
  for (const key of keys) {
    const value = search[key];
    if (typeof value === "string" && value !== "") out[key] = value;
  }
  return out as Partial<Record<K[number], string>>;
}

export interface Sort {
  field: string;
  descending: boolean;
}

/** `name` or `-name`. */
export function parseSort(text: string | undefined): Sort | null {
  if (!text) return null;
  const descending = text.startsWith("-");
  const field = descending ? text.slice(1) : text;
  return field ? { field, descending } : null;
}

export function formatSort(sort: Sort | null): string | undefined {
  return sort ? `${sort.descending ? "-" : ""}${sort.field}` : undefined;
}

/** Unsorted → ascending → descending → unsorted. */
export function nextSort(current: Sort | null, field: string): Sort | null {
  if (current?.field !== field) return { field, descending: false };
  return current.descending ? null : { field, descending: true };
}
