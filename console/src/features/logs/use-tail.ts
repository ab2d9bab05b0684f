import { useEffect, useState, useSyncExternalStore } from "react";
import { type LogRow, logTailUrl, recentLogs } from "~/api/telemetry";
import { type ApiError, asApiError, problemOf } from "~/lib/problem";
import { openStream, type StreamState } from "~/lib/sse";
import { TailStore } from "./tail-store";

const FIRST_LINES = 200;

/** A live tail while `active`. A new filter starts a new stream under the same view. */
export function useTail(filter: string | undefined, active: boolean) {
  const [store] = useState(() => new TailStore());
  const [state, setState] = useState<StreamState>("closed");
  const [error, setError] = useState<ApiError | null>(null);

  useEffect(() => {
    if (!active) return;
    const stop = new AbortController();
    let opened = false;
    store.clear();
    const run = async () => {
      setError(null);
      try {
        store.add(await recentLogs(filter, FIRST_LINES, stop.signal));
      } catch (cause) {
        if (stop.signal.aborted) return;
        const refusal = asApiError(cause);
        if (refusal.status >= 400 && refusal.status < 500) {
          setError(refusal);
          return;
        }
      }
      await openStream({
        url: logTailUrl(filter),
        signal: stop.signal,
        onState: (next) => {
          if (next === "open") {
            // The tail itself does not replay: what was logged while the connection was down is not in it.
            if (opened) store.lost();
            opened = true;
          }
          if (!stop.signal.aborted) setState(next);
        },
        onRefused: (response) => void problemOf(response).then(setError),
        onEvents: (events) => {
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
        },
      });
    };
    void run();
    return () => {
      stop.abort();
      setState("closed");
    };
  }, [store, filter, active]);

  const snapshot = useSyncExternalStore(store.subscribe, store.snapshot);
  return { ...snapshot, store, state, error };
}
