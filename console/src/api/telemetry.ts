import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import type { Span } from "~/lib/time-range";
import { resolveRange, stepFor, type TimeRange } from "~/lib/time-range";
import { client, data } from "./client";
import type { Json, RowOf } from "./json";
import type { paths } from "./schema";

export type LogRow = RowOf<paths["/api/v1/logs"]["get"]["responses"][200]>;
export type Severity = LogRow["severity"];
export type LogHistogram = Json<paths["/api/v1/logs/histogram"]["get"]["responses"][200]>;
/** `points` are pairs of Unix milliseconds and value. */
export interface MetricSeries {
  name: string;
  unit: string;
  step_seconds: number;
  series: { labels: Record<string, string>; points: number[][] }[];
}
type SeriesQuery = NonNullable<paths["/api/v1/metrics/series"]["get"]["parameters"]["query"]>;

const iso = (ms: number) => new Date(ms).toISOString();
const LOG_PAGE = 200;

export function logsQuery(span: Span, filter: string | undefined) {
  return infiniteQueryOptions({
    queryKey: ["logs", "rows", span, filter],
    queryFn: ({ pageParam, signal }) =>
      data(
        client.GET("/api/v1/logs", {
          params: { query: { from: iso(span.from), to: iso(span.to), filter, order: "desc", limit: LOG_PAGE, cursor: pageParam ?? undefined } },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => (page.has_more ? (page.next_cursor ?? null) : null),
    staleTime: Infinity,
  });
}

/** The newest rows, once: what a tail shows before its first line arrives. */
export async function recentLogs(filter: string | undefined, limit: number, signal?: AbortSignal): Promise<LogRow[]> {
  const page = await data(client.GET("/api/v1/logs", { params: { query: { filter, order: "desc", limit } }, signal: signal ?? null }));
  return page.data.toReversed();
}

/** Lines just before and after one line, from the same origin. */
export function logContextQuery(row: LogRow, filter: string | undefined, lines: number) {
  return queryOptions({
    queryKey: ["logs", "context", row.id, filter, lines],
    queryFn: async ({ signal }) => {
      const page = (query: { from?: string; to?: string; order: "asc" | "desc" }) =>
        data(client.GET("/api/v1/logs", { params: { query: { ...query, filter, limit: lines + 1 } }, signal }));
      // Both bounds are widened by a millisecond, because several lines may share the row's instant.
      const at = Date.parse(row.time);
      const [before, after] = await Promise.all([
        page({ from: iso(at - 86_400_000), to: iso(at + 1), order: "desc" }),
        page({ from: iso(at), to: iso(at + 86_400_000), order: "asc" }),
      ]);
      const seen = new Map<string, LogRow>();
      for (const r of [...before.data.toReversed(), row, ...after.data]) seen.set(r.id, r);
      return [...seen.values()].sort((a, b) => a.time.localeCompare(b.time));
    },
    staleTime: Infinity,
  });
}

const HISTOGRAM_BARS = 120;

export function fetchHistogram(span: Span, filter: string | undefined, signal: AbortSignal): Promise<LogHistogram> {
  const step = stepFor(span, HISTOGRAM_BARS);
  return data(client.GET("/api/v1/logs/histogram", { params: { query: { from: iso(span.from), to: iso(span.to), filter, step } }, signal }));
}

/** Lines per step and level over a range that is relative to `anchor`, or to the moment of each fetch without one. */
export function histogramQuery(range: TimeRange, anchor: number | null, filter: string | undefined) {
  return queryOptions({
    queryKey: ["logs", "histogram", range, anchor, filter],
    queryFn: async ({ signal }) => {
      const span = resolveRange(range, anchor ?? Date.now());
      return { span, ...(await fetchHistogram(span, filter, signal)) };
    },
    placeholderData: keepPreviousData,
    retry: false,
  });
}

export function logTailUrl(filter: string | undefined): string {
  return filter ? `/api/v1/logs/tail?${new URLSearchParams({ filter })}` : "/api/v1/logs/tail";
}

export interface SeriesRequest {
  name: string;
  filter: string;
  aggregate: NonNullable<SeriesQuery["aggregate"]>;
  groupBy?: string;
}

/** Agents report every few seconds; finer steps would only show holes. */
const FINEST_STEP = 10;
const CHART_POINTS = 240;

export interface SeriesWindow {
  span: Span;
  step: number;
  series: MetricSeries["series"];
}

/** A metric over a range. A relative range is resolved anew at each fetch, so a live chart moves with the clock. */
export function seriesQuery(request: SeriesRequest, range: TimeRange, points = CHART_POINTS) {
  return queryOptions({
    queryKey: ["metrics", request, range, points],
    queryFn: async ({ signal }): Promise<SeriesWindow> => {
      const span = resolveRange(range, Date.now());
      const step = stepFor(span, points, FINEST_STEP);
      const { name, filter, aggregate, groupBy } = request;
      const query = { name, filter, aggregate, from: iso(span.from), to: iso(span.to), step, ...(groupBy ? { group_by: groupBy } : {}) };
      const answer: MetricSeries = await data(client.GET("/api/v1/metrics/series", { params: { query }, signal }));
      return { span, step: answer.step_seconds, series: answer.series };
    },
    placeholderData: keepPreviousData,
  });
}
