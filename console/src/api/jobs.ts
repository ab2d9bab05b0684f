import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { openStream } from "~/lib/sse";
import { client, data } from "./client";
import type { Json } from "./json";
import type { paths } from "./schema";

export type Job = Json<paths["/api/v1/jobs/{id}"]["get"]["responses"][200]>;
export type JobState = Job["state"];

const PAGE = 50;
const BUSY_MS = 2000;
const IDLE_MS = 15_000;

export function isOver({ state }: Job): boolean {
  return state !== "queued" && state !== "running";
}

/** Newest first. Jobs tell no events, so they are asked for again, often while one of them is at work. */
export function jobsQuery(state?: JobState) {
  return infiniteQueryOptions({
    queryKey: ["jobs", "list", state],
    queryFn: async ({ pageParam, signal }) => data(client.GET("/api/v1/jobs", { params: { query: { state, limit: PAGE, cursor: pageParam ?? undefined } }, signal })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: ({ state: { data: now } }) => (now?.pages.some((page) => page.data.some((job) => job.state === "running")) ? BUSY_MS : IDLE_MS),
  });
}

/** The newest job of a kind, if there is one. */
export function lastJobQuery(kind: string) {
  return queryOptions({
    queryKey: ["jobs", "last", kind],
    queryFn: async ({ signal }): Promise<Job | null> => {
      const page = await data(client.GET("/api/v1/jobs", { params: { query: { kind, limit: 1 } }, signal }));
      return page.data[0] ?? null;
    },
    refetchInterval: ({ state: { data: now } }) => (now && !isOver(now) ? BUSY_MS : IDLE_MS),
  });
}

export function jobQuery(id: string) {
  return queryOptions({
    queryKey: ["jobs", "get", id],
    queryFn: ({ signal }) => data(client.GET("/api/v1/jobs/{id}", { params: { path: { id } }, signal })),
  });
}

/** Keeps the cached job as the server tells it until it is over. Answers the way to stop. */
export function followJob(queries: QueryClient, id: string): () => void {
  const stop = new AbortController();
  void openStream({
    url: `/api/v1/jobs/${id}/stream`,
    signal: stop.signal,
    onEvents: (events) => {
      const last = events.at(-1);
      if (!last) return;
      queries.setQueryData(jobQuery(id).queryKey, JSON.parse(last.data) as Job);
      if (last.event !== "finished") return;
      stop.abort();
      void queries.invalidateQueries({ queryKey: ["jobs", "list"] });
    },
  });
  return () => stop.abort();
}

export function cancelJob(id: string): Promise<Job> {
  return data(client.POST("/api/v1/jobs/{id}/cancel", { params: { path: { id } } }));
}

export function redriveJob(id: string): Promise<Job> {
  return data(client.POST("/api/v1/jobs/{id}/redrive", { params: { path: { id } } }));
}
