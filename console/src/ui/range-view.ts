import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { formatRange, parseRange, type TimeRange } from "~/lib/time-range";

export const RANGE_KEYS = ["range", "from", "to"] as const;

/** The time range in the URL. */
export function useRangeView(fallback?: TimeRange): [TimeRange, (range: TimeRange) => void] {
  const search: Record<string, string | undefined> = useSearch({ strict: false });
  const navigate = useNavigate();
  const set = (range: TimeRange) => void navigate({ to: ".", search: ((prev: object) => ({ ...prev, ...formatRange(range) })) as never });
  const { range, from, to } = search;
  const value = useMemo(() => parseRange({ range, from, to }, fallback), [range, from, to, fallback]);
  return [value, set];
}
