import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const tell of listeners) tell();
  }, 5000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

function snapshot(): number {
  // Nobody ticking: the stored time may be old.
  if (!timer) now = Date.now();
  return now;
}

/** The current time, shared by everything on the page and renewed every five seconds. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, snapshot);
}
