/** A time range as it stands in the URL: relative to now (`range=1h`) or absolute (`from`, `to`). */
export type TimeRange = { kind: "relative"; seconds: number } | { kind: "absolute"; from: number; to: number };

export interface Span {
  /** Unix milliseconds. */
  from: number;
  to: number;
}

export interface RangeSearch {
  range?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

export const DEFAULT_RANGE: TimeRange = { kind: "relative", seconds: 3600 };
export const PRESETS = ["15m", "1h", "6h", "24h", "7d", "30d"] as const;

const UNIT: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

export function parseDuration(text: string): number | null {
  const match = /^(\d{1,6})([smhd])$/.exec(text.trim());
  if (!match) return null;
  const seconds = Number(match[1]) * (UNIT[match[2] ?? ""] ?? 0);
  return seconds > 0 ? seconds : null;
}

export function formatDuration(seconds: number): string {
  if (seconds % 86_400 === 0 && seconds >= 2 * 86_400) return `${seconds / 86_400}d`;
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  if (seconds % 60 === 0) return `${seconds / 60}m`;
  return `${seconds}s`;
}

export function parseRange(search: RangeSearch, fallback: TimeRange = DEFAULT_RANGE): TimeRange {
  if (search.from && search.to) {
    const from = Date.parse(search.from);
    const to = Date.parse(search.to);
    if (Number.isFinite(from) && Number.isFinite(to) && from < to) return { kind: "absolute", from, to };
  }
  const seconds = search.range ? parseDuration(search.range) : null;
  return seconds ? { kind: "relative", seconds } : fallback;
}

export function formatRange(range: TimeRange): RangeSearch {
  return range.kind === "relative"
    ? { range: formatDuration(range.seconds), from: undefined, to: undefined }
    : { range: undefined, from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() };
}

export function resolveRange(range: TimeRange, now: number): Span {
  return range.kind === "relative" ? { from: now - range.seconds * 1000, to: now } : { from: range.from, to: range.to };
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400];

/** The smallest round step that keeps a span within `points`. */
export function stepFor(span: Span, points: number, least = 1): number {
  const wanted = (span.to - span.from) / 1000 / points;
  return STEPS.find((s) => s >= wanted && s >= least) ?? 86_400;
}
