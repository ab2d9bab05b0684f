import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowUp } from "lucide-react";
import { useRef, useState } from "react";
import type { StreamState } from "~/lib/sse";
import { useShortcut } from "~/ui/shortcuts";
import { LogLine } from "./log-line";
import classes from "./logs.module.css";
import type { TailEntry } from "./tail-store";

interface LogRowsProps {
  /** Newest first. */
  entries: readonly TailEntry[];
  scope: string | undefined;
  compact: boolean;
  onCondition(condition: string): void;
  tail: { state: StreamState; waiting: number; paused: boolean; pause(): void; resume(): void } | null;
  more: { loading: boolean; load(): void } | null;
}

const ROW_PX = 26;
const OVERSCAN = 12;

/** The lines themselves, only those in sight. Scrolling away from the top pauses a tail, so that nothing moves under the eyes. */
export function LogRows({ entries, scope, compact, onCondition, tail, more }: LogRowsProps) {
  const { t } = useLingui();
  const host = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing here is memoized, which is what the rule asks for
  const rows = useVirtualizer({
    count: entries.length,
    getScrollElement: () => host.current,
    estimateSize: () => ROW_PX,
    getItemKey: (index) => entries[index]?.key ?? index,
    overscan: OVERSCAN,
  });
  useLineKeys(host);
  const toggle = (key: string) =>
    setOpen((prev) => {
      const next = new Set(prev);
      if (!next.delete(key)) next.add(key);
      return next;
    });
  const toTop = () => {
    tail?.resume();
    host.current?.scrollTo({ top: 0 });
  };
  return (
    <div className={classes.list}>
      {tail && (
        <div className={classes.tailBar} role="status">
          <span className={classes.dot} data-state={tail.paused ? "paused" : tail.state} aria-hidden />
          <span>
            {tail.paused ? (
              <Trans>Paused</Trans>
            ) : tail.state === "open" ? (
              <Trans>Live: new lines appear at the top</Trans>
            ) : tail.state === "connecting" ? (
              <Trans>Connecting…</Trans>
            ) : (
              <Trans>Connection lost, trying again</Trans>
            )}
          </span>
        </div>
      )}
      {tail && tail.waiting > 0 && (
        <Button className={classes.newer ?? ""} size="xs" radius="xl" leftSection={<ArrowUp size={13} />} onClick={toTop}>
          <Plural value={tail.waiting} one="# new" other="# new" />
        </Button>
      )}
      <div
        ref={host}
        className={classes.scroll}
        data-compact={compact || undefined}
        role="region"
        aria-label={t`Lines, newest first`}
        tabIndex={0}
        onScroll={(event) => {
          if (!tail) return;
          if (event.currentTarget.scrollTop > ROW_PX && !tail.paused) tail.pause();
        }}
      >
        <div style={{ height: rows.getTotalSize(), position: "relative" }}>
          {rows.getVirtualItems().map((item) => {
            const entry = entries[item.index];
            if (!entry) return null;
            return (
              <div key={item.key} ref={rows.measureElement} data-index={item.index} className={classes.slot} style={{ transform: `translateY(${item.start}px)` }}>
                {entry.kind === "row" && (
                  <LogLine row={entry.row} open={open.has(entry.key)} onToggle={() => toggle(entry.key)} scope={scope} onCondition={onCondition} />
                )}
                {entry.kind === "skipped" && (
                  <div className={classes.note}>
                    <Plural value={entry.count} one="skipped # line: it arrived faster than it could be sent" other="skipped # lines: they arrived faster than they could be sent" />
                  </div>
                )}
                {entry.kind === "lost" && (
                  <div className={classes.note}>
                    <Trans>the connection was lost here; lines may be missing</Trans>
                  </div>
                )}
              </div>
            );
          })}
        </div>
        {tail && entries.length === 0 && (
          <p className={classes.waiting}>
            <Trans>Waiting for the first line…</Trans>
          </p>
        )}
        {more && (
          <div className={classes.more}>
            <Button size="xs" variant="default" loading={more.loading} onClick={more.load}>
              <Trans>Load older lines</Trans>
            </Button>
          </div>
        )}
      </div>
    </div>
  );
}

function useLineKeys(host: React.RefObject<HTMLDivElement | null>) {
  const { t } = useLingui();
  const move = (by: 1 | -1) => {
    const stops = [...(host.current?.querySelectorAll<HTMLElement>("[data-line]") ?? [])].sort(
      (a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top,
    );
    const at = stops.findIndex((e) => e === document.activeElement);
    const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), stops.length - 1);
    stops[next]?.focus();
  };
  useShortcut({ keys: "j", label: t`Next row`, group: t`Lists`, run: () => move(1) });
  useShortcut({ keys: "k", label: t`Previous row`, group: t`Lists`, run: () => move(-1) });
}
