import { queryOptions, useSuspenseQuery } from "@tanstack/react-query";
import { allows } from "~/lib/permissions";
import { client, data } from "./client";
import { ApiError } from "~/lib/problem";
import type { Json } from "./json";
import type { paths } from "./schema";

export type Session = Json<paths["/auth/session"]["get"]["responses"][200]>;
export type SetupInput = paths["/auth/setup"]["post"]["requestBody"]["content"]["application/json"];
export type LoginInput = paths["/auth/login"]["post"]["requestBody"]["content"]["application/json"];

/** Null when nobody is signed in. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ signal }): Promise<Session | null> => {
    try {
      return await data(client.GET("/auth/session", { signal }));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

export const setupQuery = queryOptions({
  queryKey: ["setup"],
  queryFn: ({ signal }) => data(client.GET("/auth/setup", { signal })),
  staleTime: 0,
});

export const versionQuery = queryOptions({
  queryKey: ["version"],
  queryFn: ({ signal }) => data(client.GET("/version", { signal })),
  staleTime: Infinity,
});

export function setUp(input: SetupInput): Promise<Session> {
  return data(client.POST("/auth/setup", { body: input }));
}

export function signIn(input: LoginInput): Promise<Session> {
  return data(client.POST("/auth/login", { body: input }));
}

export async function signOut(): Promise<void> {
  await data(client.POST("/auth/logout"));
}

/** The session of a signed-in page; the tenant route has loaded it before anything below renders. */
export function useSession(): Session {
  const { data: session } = useSuspenseQuery(sessionQuery);
  if (!session) throw new ApiError({ status: 401, code: "signed_out" });
  return session;
}

export function useCan(permission: string): boolean {
  return allows(useSession().permissions, permission);
}
