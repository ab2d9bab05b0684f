import { queryOptions, useSuspenseQuery } from "@tanstack/react-query";
import { allows } from "~/lib/permissions";
import { client, data } from "./client";
import { ApiError } from "~/lib/problem";
import type { Json } from "./json";
import type { paths } from "./schema";

export type Session = Json<paths["/auth/session"]["get"]["responses"][200]>;
export type SetupInput = paths["/auth/setup"]["post"]["requestBody"]["content"]["application/json"];
export type LoginInput = paths["/auth/login"]["post"]["requestBody"]["content"]["application/json"];

/** The tenant in which the installation itself is looked after. */
export const OPERATOR = "operator";
const OPERATORS_OWN = /^(tenants|platform):/;

/** The session as it holds: what only the operator's tenant has, a role gives nobody anywhere else. */
function held(session: Session): Session {
  if (session.tenant.slug === OPERATOR) return session;
  const { allow, deny } = session.permissions;
  return { ...session, permissions: { deny, allow: allow.filter((entry) => !OPERATORS_OWN.test(entry)) } };
}

/** Null when nobody is signed in. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ signal }): Promise<Session | null> => {
    try {
      return held(await data(client.GET("/auth/session", { signal })));
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

export async function setUp(input: SetupInput): Promise<Session> {
  return held(await data(client.POST("/auth/setup", { body: input })));
}

export async function signIn(input: LoginInput): Promise<Session> {
  return held(await data(client.POST("/auth/login", { body: input })));
}

/** Sets a password with a code that was made for it; whoever is signed in as that person is signed out. */
export async function setPassword(input: { code: string; password: string }): Promise<void> {
  await data(client.POST("/auth/password", { body: input }));
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
