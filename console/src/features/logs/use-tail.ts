import { useEffect, useState, useSyncExternalStore } from "react";
import { type LogRow, logTailUrl, recentLogs } from "~/api/telemetry";
import { type ApiError, problemOf } from "~/lib/problem";
import { openStream, type ServerEvent, type StreamState } from "~/lib/sse";
import { TailStore } from "./tail-store";

const RECENT_LINES = 200;

/** A live tail while `active`. A new filter starts a new stream under the same view. */
export function useTail(filter: string | undefined, active: boolean) {
  const [store] = useState(() => new TailStore());
  const [state, setState] = useState<StreamState>("closed");
  const [error, setError] = useState<ApiError | null>(null);

  useEffect(() => {
    if (!active) return;
    const stop = new AbortController();
    store.clear();
    // Set while the newest stored lines are being read: what the stream brings meanwhile comes after them.
    let held: ServerEvent[] | null = null;

    const show = (events: readonly ServerEvent[]) => {
      let rows: LogRow[] = [];
      for (const event of events) {
        if (event.event === "log") rows.push(JSON.parse(event.data) as LogRow);
        else if (event.event === "skipped") {
          store.add(rows);
          rows = [];
          store.skipped((JSON.parse(event.data) as { count: number }).count);
        }
      }
      store.add(rows);
    };

    // The stream has no past: each time it opens, the lines before it are read, and those that are there already recognised.
    const catchUp = async () => {
      held = [];
      try {
        const recent = await recentLogs(filter, RECENT_LINES, stop.signal);
        if (store.hasGapBefore(recent)) store.lost();
        store.add(recent);
      } catch {
        if (!stop.signal.aborted && !store.isEmpty()) store.lost();
      }
      const waiting = held;
      held = null;
      if (!stop.signal.aborted) show(waiting);
    };

    void openStream({
      url: logTailUrl(filter),
      signal: stop.signal,
      onState: (next) => {
        if (stop.signal.aborted) return;
        setState(next);
        if (next !== "open") return;
        setError(null);
        void catchUp();
      },
      onRefused: (response) => void problemOf(response).then(setError),
      onEvents: (events) => {
        if (held) held.push(...events);
        else show(events);
      },
    });
    return () => {
      stop.abort();
      setState("closed");
    };
  }, [store, filter, active]);

  const snapshot = useSyncExternalStore(store.subscribe, store.snapshot);
  return { ...snapshot, store, state, error };
}
