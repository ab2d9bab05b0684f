import { queryOptions } from "@tanstack/react-query";
import { equals } from "~/lib/filter";
import { client, data } from "./client";
import type { Json } from "./json";
import type { paths } from "./schema";

export type Saga = Json<paths["/api/v1/sagas/{id}"]["get"]["responses"][200]>;
export type SagaState = Saga["state"];

const BUSY_MS = 1000;
const IDLE_MS = 15_000;
const SHOWN = 5;

export function isUnfinished({ state }: Pick<Saga, "state">): boolean {
  return state === "running" || state === "undoing";
}

/** The last sagas about something, the newest first; asked for again, often while one of them is at work. */
export function sagasQuery(about: readonly string[]) {
  const filter = about.map((key) => equals("key", key)).join(" OR ");
  return queryOptions({
    queryKey: ["sagas", "about", ...about],
    queryFn: async ({ signal }) => {
      const page = await data(client.GET("/api/v1/sagas", { params: { query: { filter, order_by: "created_at desc", limit: SHOWN } }, signal }));
      return page.data as Saga[];
    },
    staleTime: 0,
    refetchInterval: ({ state: { data: now } }) => (now?.some(isUnfinished) ? BUSY_MS : IDLE_MS),
  });
}

/** One saga, followed until it is over. */
export function sagaQuery(id: string) {
  return queryOptions({
    queryKey: ["sagas", "get", id],
    queryFn: ({ signal }) => data(client.GET("/api/v1/sagas/{id}", { params: { path: { id } }, signal })),
    staleTime: 0,
    refetchInterval: ({ state: { data: now } }) => (now === undefined || isUnfinished(now) ? BUSY_MS : false),
  });
}

export async function cancelSaga(id: string): Promise<void> {
  await data(client.POST("/api/v1/sagas/{id}/cancel", { params: { path: { id } } }));
}

export async function retrySaga(id: string): Promise<void> {
  await data(client.POST("/api/v1/sagas/{id}/retry", { params: { path: { id } } }));
}
