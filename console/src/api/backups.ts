import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { client, data } from "./client";
import type { Job } from "./jobs";
import type { Json, RowOf } from "./json";
import type { paths } from "./schema";

const PAGE = 50;
const IDLE_MS = 60_000;

/** Of all that is asked about backups. */
export const BACKUPS = ["backups"] as const;

export type Backup = RowOf<paths["/api/v1/backups"]["get"]["responses"][200]>;
export type BackupDetail = Json<paths["/api/v1/backups/{name}"]["get"]["responses"][200]>;
export type HeldTenant = BackupDetail["contents"][number];

/** What is in the place, the newest first. Others may write there, so it is asked for again. */
export const backupsQuery = infiniteQueryOptions({
  queryKey: [...BACKUPS, "list"],
  queryFn: ({ pageParam, signal }) => data(client.GET("/api/v1/backups", { params: { query: { limit: PAGE, cursor: pageParam ?? undefined } }, signal })),
  initialPageParam: null as string | null,
  getNextPageParam: (page) => page.next_cursor,
  refetchInterval: IDLE_MS,
  retry: false,
});

export function backupQuery(name: string) {
  return queryOptions({
    queryKey: [...BACKUPS, "get", name],
    queryFn: ({ signal }) => data(client.GET("/api/v1/backups/{name}", { params: { path: { name } }, signal })),
  });
}

/** Has the whole installation backed up; which older ones stay is the schedule's to say. */
export function backUp(): Promise<Job> {
  return data(client.POST("/api/v1/backups", { body: {} }));
}

export function verifyBackup(name: string): Promise<Job> {
  return data(client.POST("/api/v1/backups/{name}/verify", { params: { path: { name } } }));
}
