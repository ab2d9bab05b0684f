import { infiniteQueryOptions } from "@tanstack/react-query";
import { client, data } from "./client";
import type { components } from "./schema";

export type Event = components["schemas"]["Event"];

const PAGE = 50;

/** Newest first. */
export function eventsQuery(filter: string | undefined, limit = PAGE) {
  return infiniteQueryOptions({
    queryKey: ["events", filter, limit],
    queryFn: ({ pageParam, signal }) =>
      data(client.GET("/api/v1/events", { params: { query: { order: "desc", before: pageParam ?? undefined, limit, filter } }, signal })),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => (page.has_more ? (page.data.at(-1)?.position ?? null) : null),
  });
}
