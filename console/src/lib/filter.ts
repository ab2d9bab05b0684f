/** Quotes text as a filter literal. */
export function quote(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** Joins conditions with AND; each part keeps its own precedence by brackets when it has more than one word. */
export function allOf(...parts: (string | null | undefined | false)[]): string | undefined {
  const kept = parts.map((p) => (p ? p.trim() : "")).filter((p) => p !== "");
  if (kept.length === 0) return undefined;
  if (kept.length === 1) return kept[0];
  return kept.map((p) => (/^\S+$/.test(p) ? p : `(${p})`)).join(" AND ");
}

export function equals(field: string, value: string): string {
  return `${field} = ${quote(value)}`;
}
