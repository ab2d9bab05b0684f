import { QueryClient } from "@tanstack/react-query";
import { expect, test, vi } from "vitest";
import { followEvents } from "./live";

// A browser without channels between its tabs: each of them reads.
vi.hoisted(() => {
  vi.stubGlobal("window", { location: { origin: "https://steward.example" } });
  vi.stubGlobal("navigator", {});
});

async function invalidatedBy(message: string): Promise<unknown[]> {
  const body = new Response(`event: ${message}\nid: 7\ndata: {}\n\n`).body;
  vi.stubGlobal("fetch", vi.fn().mockResolvedValueOnce(new Response(body)).mockReturnValue(new Promise(() => undefined)));
  const queries = new QueryClient();
  const invalidate = vi.spyOn(queries, "invalidateQueries");
  const stop = followEvents(queries, "acme");
  await vi.waitFor(() => expect(invalidate).toHaveBeenCalled());
  stop();
  return invalidate.mock.calls.map(([filters]) => filters?.queryKey?.[0]);
}

test("an event refreshes what it is about", async () => {
  const keys = await invalidatedBy("device.updated");
  expect(keys).toContain("events");
  expect(keys).not.toContain(undefined);
});

test("a stream that starts over refreshes everything", async () => {
  expect(await invalidatedBy("start_over")).toContain(undefined);
});
