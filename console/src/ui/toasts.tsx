import { useLingui } from "@lingui/react/macro";
import { CloseButton } from "@mantine/core";
import { CircleCheck } from "lucide-react";
import { useSyncExternalStore } from "react";
import classes from "./toasts.module.css";

interface Toast {
  id: number;
  message: string;
}

const SHOWN_MS = 4000;
const listeners = new Set<() => void>();
let toasts: readonly Toast[] = [];
let last = 0;

function set(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

function dismiss(id: number): void {
  set(toasts.filter((x) => x.id !== id));
}

/** Says for a moment that something was done. */
export function toast(message: string): void {
  last += 1;
  const id = last;
  set([...toasts, { id, message }]);
  setTimeout(() => dismiss(id), SHOWN_MS);
}

export function Toasts() {
  const { t } = useLingui();
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
  return (
    <div className={classes.stack} role="status" aria-live="polite">
      {shown.map((x) => (
        <div key={x.id} className={classes.toast}>
          <CircleCheck size={17} aria-hidden />
          <span>{x.message}</span>
          <CloseButton size="sm" aria-label={t`Close`} onClick={() => dismiss(x.id)} />
        </div>
      ))}
    </div>
  );
}
