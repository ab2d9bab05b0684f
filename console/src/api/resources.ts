import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { client, data, loose, reply } from "./client";
import type { Event } from "./events";
import type { Json } from "./json";
import type { paths } from "./schema";
import { undoRequest } from "./undo";

/** Collections that behave as records: list, get, merge patch with If-Match, delete. */
type Path =
  | "/api/v1/organizations"
  | "/api/v1/projects"
  | "/api/v1/services"
  | "/api/v1/devices"
  | "/api/v1/api-keys"
  | "/api/v1/enrollment-tokens"
  | "/api/v1/members"
  | "/api/v1/schedules"
  | "/api/v1/tenants";

// A list may be asked for some fields only, so its rows promise less; the console always asks for all of them.
type Row<P extends Path> = Json<paths[`${P}/{id}`]["get"]["responses"][200]>;
type Draft<P extends Path> = paths[P] extends { post: { requestBody: { content: { "application/json": infer T } } } } ? T : never;
type Created<P extends Path> = paths[P] extends { post: { responses: { 201: infer R } } } ? Json<R> : never;

export interface ListQuery {
  filter?: string | undefined;
  orderBy?: string | undefined;
  limit?: number;
  /** Lists the recycle bin, what was deleted last first; it has no other order. */
  deleted?: boolean;
}

export interface Page<T> {
  data: T[];
  next_cursor?: string | null;
  has_more: boolean;
}

/** A record with the version tag that writes must send back. */
export interface Tagged<T> {
  record: T;
  etag: string;
}

const PAGE = 50;
const HISTORY = 10;

function tag(record: unknown, response: Response): string {
  return response.headers.get("etag") ?? `"${(record as { revision: number }).revision}"`;
}

export function resource<P extends Path>(path: P) {
  const single = `${path}/{id}`;
  return {
    key: [path] as const,

    list: (query: ListQuery) =>
      infiniteQueryOptions({
        queryKey: [path, "list", query],
        queryFn: async ({ pageParam, signal }) => {
          const { filter, orderBy, limit = PAGE, deleted } = query;
          const params = { query: { filter, order_by: orderBy, limit, deleted, cursor: pageParam ?? undefined } };
          return (await data(loose.GET(path, { params, signal }))) as Page<Row<P>>;
        },
        initialPageParam: null as string | null,
        getNextPageParam: (page) => (page.has_more ? (page.next_cursor ?? null) : null),
      }),

    get: (id: string) =>
      queryOptions({
        queryKey: [path, "get", id],
        queryFn: async ({ signal }): Promise<Tagged<Row<P>>> => {
          const { data: record, response } = await reply(loose.GET(single, { params: { path: { id } }, signal }));
          return { record: record as Row<P>, etag: tag(record, response) };
        },
      }),

    create: async (body: Draft<P>): Promise<Created<P>> => (await data(loose.POST(path, { body }))) as Created<P>,

    update: async (id: string, etag: string, patch: Record<string, unknown>): Promise<Tagged<Row<P>>> => {
      const headers = { "if-match": etag, "content-type": "application/merge-patch+json" };
      const { data: record, response } = await reply(loose.PATCH(single, { params: { path: { id } }, headers, body: patch }));
      return { record: record as Row<P>, etag: tag(record, response) };
    },

    /** Deletes the version that is stored now: the caller has just confirmed the deletion by name. Answers the way back, for a day. */
    remove: async (id: string): Promise<() => Promise<void>> => {
      const { data: record, response } = await reply(loose.GET(single, { params: { path: { id } } }));
      const done = await reply(loose.DELETE(single, { params: { path: { id } }, headers: { "if-match": tag(record, response) } }));
      return () => undoRequest(done.response.headers.get("x-request-id") ?? "");
    },

    /** What happened to a record, the newest first, also when it is deleted. */
    history: (id: string) =>
      infiniteQueryOptions({
        queryKey: [path, "history", id],
        queryFn: async ({ pageParam, signal }) => {
          const params = { path: { id }, query: { limit: HISTORY, cursor: pageParam ?? undefined } };
          return (await data(loose.GET(`${single}/history`, { params, signal }))) as Page<Event>;
        },
        initialPageParam: null as string | null,
        getNextPageParam: (page) => page.next_cursor,
      }),

    /** Brings a record back from the recycle bin, if it is still the one that was listed there. */
    restore: async ({ id, revision }: { id: string; revision: number }): Promise<void> => {
      await data(loose.POST(`${single}/restore`, { params: { path: { id } }, headers: { "if-match": `"${revision}"` } }));
    },
  };
}

export const organizations = resource("/api/v1/organizations");
export const projects = resource("/api/v1/projects");
export const services = resource("/api/v1/services");
export const devices = resource("/api/v1/devices");
export const apiKeys = resource("/api/v1/api-keys");
export const enrollmentTokens = resource("/api/v1/enrollment-tokens");
export const members = resource("/api/v1/members");
export const schedules = resource("/api/v1/schedules");
export const tenants = resource("/api/v1/tenants");

export type Organization = Row<"/api/v1/organizations">;
export type OrganizationInput = Draft<"/api/v1/organizations">;
export type Project = Row<"/api/v1/projects">;
export type ProjectInput = Draft<"/api/v1/projects">;
export type Service = Row<"/api/v1/services">;
export type ServiceInput = Draft<"/api/v1/services">;
export type Device = Row<"/api/v1/devices">;
export type ApiKey = Row<"/api/v1/api-keys">;
export type ApiKeyInput = Draft<"/api/v1/api-keys">;
export type EnrollmentToken = Row<"/api/v1/enrollment-tokens">;
export type EnrollmentTokenInput = Draft<"/api/v1/enrollment-tokens">;
export type Member = Row<"/api/v1/members">;
export type Schedule = Row<"/api/v1/schedules">;
export type Tenant = Row<"/api/v1/tenants">;

const PRESENCE_MS = 10_000;

/** Whether the device is heard right now; unlike the record it is asked often. */
export function presenceQuery(id: string) {
  return queryOptions({
    queryKey: ["presence", id],
    queryFn: ({ signal }) => data(client.GET("/api/v1/devices/{id}/presence", { params: { path: { id } }, signal })),
    refetchInterval: PRESENCE_MS,
  });
}
