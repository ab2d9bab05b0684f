import { useLingui } from "@lingui/react/macro";
import { Button, CloseButton } from "@mantine/core";
import { CircleAlert, CircleCheck } from "lucide-react";
import { useSyncExternalStore } from "react";
import { useShortcut } from "./shortcuts";
import classes from "./toasts.module.css";

interface Action {
  label: string;
  run(): void;
}

interface Options {
  /** It tells of a failure. */
  failed?: boolean;
  /** What can be done about it; it stays longer then. */
  action?: Action;
}

interface Toast extends Options {
  id: number;
  message: string;
}

const SHOWN_MS = 4000;
const SHOWN_LONGER_MS = 12_000;
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

/** Says for a moment that something was done, or was not. */
export function toast(message: string, options: Options = {}): void {
  last += 1;
  const id = last;
  set([...toasts, { id, message, ...options }]);
  setTimeout(() => dismiss(id), options.action || options.failed ? SHOWN_LONGER_MS : SHOWN_MS);
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
      {shown.map(({ id, message, failed, action }) => (
        <div key={id} className={classes.toast} data-failed={failed || undefined}>
          {failed ? <CircleAlert size={17} aria-hidden /> : <CircleCheck size={17} aria-hidden />}
          <span>{message}</span>
          {action && (
            <ActionButton
              label={action.label}
              run={() => {
                dismiss(id);
                action.run();
              }}
            />
          )}
          <CloseButton size="sm" aria-label={t`Close`} onClick={() => dismiss(id)} />
        </div>
      ))}
    </div>
  );
}

/** The button, and the key that does the same from anywhere while it is there. */
function ActionButton({ label, run }: Action) {
  const { t } = useLingui();
  useShortcut({ keys: "z", label, group: t`General`, run });
  return (
    <Button size="compact-sm" variant="light" onClick={run} aria-keyshortcuts="z">
      {label}
    </Button>
  );
}
