import type { QueryClient } from "@tanstack/react-query";
import { openStream, type ServerEvent } from "~/lib/sse";
import { COLLECTIONS, isCollected } from "./collections";

const CHANNEL = "steward-events";
const SETTLE_MS = 250;
/** Sent when the tenant was restored as it was earlier: whatever is shown may not be there. */
const START_OVER = "start_over";

/**
 * Keeps the query cache fresh from the tenant's event stream. Browsers allow six connections per host over HTTP/1.1, so
 * the tabs of a browser elect one reader, which tells the others; where locks are not available (plain HTTP) each tab reads.
 */
export function followEvents(queries: QueryClient, tenant: string): () => void {
  const stop = new AbortController();
  const touched = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let startsOver = false;

  const refresh = () => {
    timer = undefined;
    if (startsOver) void queries.invalidateQueries();
    startsOver = false;
    for (const key of touched) void queries.invalidateQueries({ queryKey: [key] });
    touched.clear();
  };
  const touch = (types: string[]) => {
    touched.add("events");
    touched.add("search");
    startsOver ||= types.includes(START_OVER);
    for (const type of types) {
      const kind = type.split(".")[0];
      if (isCollected(kind)) touched.add(COLLECTIONS[kind].key[0]);
    }
    timer ??= setTimeout(refresh, SETTLE_MS);
  };

  const channel = "BroadcastChannel" in window ? new BroadcastChannel(`${CHANNEL}-${tenant}`) : null;
  if (channel) channel.onmessage = (message: MessageEvent<string[]>) => touch(message.data);
  const onEvents = (events: ServerEvent[]) => {
    const types = events.map((e) => e.event);
    touch(types);
    channel?.postMessage(types);
  };
  const read = () => openStream({ url: "/api/v1/events/stream", onEvents, signal: stop.signal });

  // The browser's type says locks are always there; outside secure contexts they are not.
  const locks = navigator.locks as LockManager | undefined;
  if (locks && channel) {
    locks.request(`${CHANNEL}-${tenant}`, { signal: stop.signal }, read).catch(() => undefined);
  } else {
    void read();
  }
  return () => {
    stop.abort();
    clearTimeout(timer);
    channel?.close();
  };
}
