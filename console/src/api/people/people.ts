import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { equals } from "~/lib/filter";
import { client, data, loose } from "../client";
import type { Json } from "../json";
import type { paths } from "../schema";
import { type Member, members } from "../resources";

export type Person = Json<paths["/api/v1/members/{id}/person"]["get"]["responses"][200]>;
export type Code = Json<paths["/api/v1/password-codes"]["post"]["responses"][201]>;

const STALE_MS = 300_000;

/** Name and address of a member: they belong to the person and are not in the membership. */
export function personQuery(member: string) {
  return queryOptions({
    queryKey: [...members.key, "person", member],
    queryFn: ({ signal }) => data(client.GET("/api/v1/members/{id}/person", { params: { path: { id: member } }, signal })),
    staleTime: STALE_MS,
    retry: false,
  });
}

/** Somebody by their own id, while they belong to the tenant; null for whoever does not. */
export function memberOfPersonQuery(queries: QueryClient, person: string) {
  return queryOptions({
    queryKey: [...members.key, "of", person],
    queryFn: async ({ signal }): Promise<{ member: string; person: Person } | null> => {
      const query = { filter: equals("person_id", person), limit: 1 };
      const found = await data(client.GET("/api/v1/members", { params: { query }, signal }));
      const member = found.data[0]?.id;
      return member === undefined ? null : { member, person: await queries.fetchQuery(personQuery(member)) };
    },
    staleTime: STALE_MS,
    retry: false,
  });
}

export function setRoles(id: string, roles: string[]): Promise<Member> {
  return data(client.POST("/api/v1/members/{id}/roles", { params: { path: { id } }, body: { roles } }));
}

export async function endMembership(id: string): Promise<void> {
  await data(client.POST("/api/v1/members/{id}/end", { params: { path: { id } } }));
}

/** A code with which a person sets a password. */
export function makePasswordCode(email: string): Promise<Code> {
  return data(client.POST("/api/v1/password-codes", { body: { email } }));
}

/** Somebody who is to belong to a tenant. */
export interface Newcomer {
  email: string;
  name: string;
  roles: string[];
}

/** Lets a person belong to one's own tenant, or to another one, which is for the operator. Answers the membership. */
export async function addMember(newcomer: Newcomer, tenant?: string): Promise<Member> {
  const path = tenant === undefined ? "/api/v1/members" : "/api/v1/tenants/{id}/members";
  return (await data(loose.POST(path, { params: { path: { id: tenant } }, body: newcomer }))) as Member;
}
