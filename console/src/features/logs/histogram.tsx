import { useLingui } from "@lingui/react/macro";
import { Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { histogramQuery, type Severity } from "~/api/telemetry";
import { formatNumber } from "~/lib/format";
import { stack } from "~/lib/series";
import type { TimeRange } from "~/lib/time-range";
import { Chart } from "~/ui/chart/chart";
import { COLOR, SEVERITIES } from "./levels";
import classes from "./logs.module.css";

const LIVE_MS = 5000;

interface HistogramProps {
  range: TimeRange;
  anchor: number;
  filter: string | undefined;
  live: boolean;
  onSelect(from: number, to: number): void;
}

/** Lines per step and level over the whole range, whatever part of it is loaded below. Dragging over it narrows the range. */
export function Histogram({ range, anchor, filter, live, onSelect }: HistogramProps) {
  const { t, i18n } = useLingui();
  const { data, error } = useQuery({ ...histogramQuery(range, live ? null : anchor, filter), refetchInterval: live ? LIVE_MS : false });
  const drawn = useMemo(() => {
    if (!data) return null;
    const present = SEVERITIES.filter((s) => data.buckets.some((b) => (b.counts[s] ?? 0) > 0));
    const step = data.step_seconds;
    const first = Math.floor(data.span.from / 1000 / step) * step;
    const counts = new Map(data.buckets.map((b) => [Math.floor(Date.parse(b.time) / 1000 / step) * step, b.counts]));
    const x: number[] = [];
    for (let at = first; at < data.span.to / 1000; at += step) x.push(at);
    const plain = present.map((s) => x.map((at) => counts.get(at)?.[s] ?? 0));
    return { present, x, plain, stacked: stack(plain), span: data.span };
  }, [data]);

  const names: Record<Severity, string> = { trace: t`Trace`, debug: t`Debug`, info: t`Info`, warn: t`Warning`, error: t`Error`, critical: t`Critical` };
  // The lines below say what went wrong; a second card would say it twice.
  if (error && !drawn) return null;
  if (!drawn) return <Skeleton height={124} radius={0} />;
  const total = drawn.plain.flat().reduce((a, b) => a + b, 0);
  const lines = drawn.present.map((s) => ({ label: names[s], color: COLOR[s] }));
  return (
    <div className={classes.histogram}>
      <Chart
        kind="bars"
        label={t`${formatNumber(total, i18n.locale)} lines`}
        height={88}
        lines={lines.toReversed()}
        x={drawn.x}
        y={drawn.stacked.toReversed()}
        legendValues={drawn.plain.toReversed()}
        legendTotals={drawn.plain.map((v) => v.reduce((a, b) => a + b, 0)).toReversed()}
        legendNote={t`${formatNumber(total, i18n.locale)} lines`}
        span={drawn.span}
        format={(v) => formatNumber(v, i18n.locale)}
        onSelect={onSelect}
      />
    </div>
  );
}
