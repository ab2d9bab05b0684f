import createClient from "openapi-fetch";
import { ApiError, unreachable } from "~/lib/problem";
import type { paths } from "./schema";

/** The typed client. The session travels as an HttpOnly cookie, so there is no token to hold. */
export const client = createClient<paths>({
  baseUrl: window.location.origin,
  credentials: "same-origin",
  // Looked up at each call, so that tests and tools that wrap fetch are seen.
  fetch: (request) => fetch(request),
});

type LooseCall = (path: string, init: object) => Promise<{ data?: unknown; error?: unknown; response: Response }>;

/** The same for a path that is known at run time only, which openapi-fetch cannot follow: whoever calls it says what the answer is. */
export const loose = client as unknown as Record<"GET" | "POST" | "PATCH" | "DELETE", LooseCall>;

interface Outcome<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

export interface Reply<T> {
  data: T;
  response: Response;
}

/** Turns an openapi-fetch outcome into its data, or throws the one error type. */
export async function reply<T>(call: Promise<Outcome<T>>): Promise<Reply<T>> {
  let outcome: Outcome<T>;
  try {
    outcome = await call;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw unreachable();
  }
  const { data, error, response } = outcome;
  if (!response.ok) {
    const body = typeof error === "object" && error !== null ? error : {};
    throw new ApiError({ request_id: response.headers.get("x-request-id"), ...body, status: response.status });
  }
  return { data: data as T, response };
}

export async function data<T>(call: Promise<Outcome<T>>): Promise<T> {
  return (await reply(call)).data;
}
