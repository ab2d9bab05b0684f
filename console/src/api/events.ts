import { infiniteQueryOptions } from "@tanstack/react-query";
import { client, data } from "./client";
import type { RowOf } from "./json";
import type { paths } from "./schema";

export type Event = RowOf<paths["/api/v1/events"]["get"]["responses"][200]>;

const PAGE = 50;

/** Newest first. A page of a filter that matches rarely may be short, even empty, and have more after it. */
export function eventsQuery(filter: string | undefined, limit = PAGE) {
  return infiniteQueryOptions({
    queryKey: ["events", filter, limit],
    queryFn: async ({ pageParam, signal }) =>
      data(client.GET("/api/v1/events", { params: { query: { order_by: "position desc", after: pageParam, limit, filter } }, signal })),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (page) => (page.has_more ? Number(page.next_cursor) : undefined),
  });
}
