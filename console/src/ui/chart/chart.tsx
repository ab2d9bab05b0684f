import { useLingui } from "@lingui/react/macro";
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useEffectEvent, useRef, useState } from "react";
import { formatDateTime } from "~/lib/format";
import type { Span } from "~/lib/time-range";
import classes from "./chart.module.css";
import type { Data, DrawOptions, Line, Plot } from "./draw";

export type { Line } from "./draw";

interface ChartProps {
  /** What the chart shows, for people who do not see it. */
  label: string;
  kind?: "lines" | "bars";
  lines: readonly Line[];
  /** Seconds, ascending; one list of values per line. */
  x: readonly number[];
  y: readonly (readonly (number | null)[])[];
  /** Values as the legend shows them, where they differ from what is drawn (stacked bars). */
  legendValues?: readonly (readonly (number | null)[])[];
  /** What the legend shows while nothing is under the cursor; without it, the newest values. */
  legendTotals?: readonly number[];
  legendNote?: string;
  span: Span;
  format(value: number): string;
  max?: number;
  binary?: boolean;
  height?: number;
  sync?: string;
  onSelect?(from: number, to: number): void;
}

/** A uPlot chart with its own legend, which shows the values under the cursor or the newest ones. */
export function Chart(props: ChartProps) {
  const { label, kind = "lines", lines, x, y, legendValues, legendTotals, legendNote, span, format, max, binary = false, height = 170, sync, onSelect } = props;
  const { t, i18n } = useLingui();
  const scheme = useComputedColorScheme("light");
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const scale = useRef({ ...span });
  const [hover, setHover] = useState<number | null>(null);
  const select = useEffectEvent((from: number, to: number) => onSelect?.(from, to));
  const data = useEffectEvent((): Data => [[...x], ...y.map((v) => [...v])]);
  const options = useEffectEvent(
    (): DrawOptions => ({
      kind,
      lines,
      height,
      format,
      locale: i18n.locale,
      binary,
      onHover: setHover,
      ...(max === undefined ? {} : { max }),
      ...(sync === undefined ? {} : { sync }),
      ...(onSelect ? { onSelect: select } : {}),
    }),
  );

  const shape = lines.map((l) => `${l.label}:${l.color}`).join();
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    let gone = false;
    let observer: ResizeObserver | undefined;
    void import("./draw").then(({ draw }) => {
      if (gone) return;
      plot.current = draw(element, data(), scale.current, options());
      observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
      observer.observe(element);
    });
    return () => {
      gone = true;
      observer?.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, scheme, height, kind, max, binary, sync, i18n.locale]);

  useEffect(() => {
    scale.current.from = span.from;
    scale.current.to = span.to;
    plot.current?.setData(data(), true);
  }, [x, y, span.from, span.to]);

  const values = legendValues ?? y;
  const at = hover !== null && hover < x.length ? hover : x.length - 1;
  const valueAt = (i: number) => (hover === null && legendTotals ? (legendTotals[i] ?? null) : (values[i]?.[at] ?? null));
  const spoken = lines.map((l, i) => `${l.label} ${valueAt(i) === null ? "–" : format(valueAt(i) ?? 0)}`).join(", ");
  const moment = x[at];
  return (
    <div className={classes.root}>
      <div ref={host} className={classes.plot} style={{ height }} role="img" aria-label={`${label}: ${spoken}`} data-newest={x.at(-1)} />
      <div className={classes.legend}>
        {lines.map((line, i) => (
          <span key={line.label} className={classes.item}>
            <span className={classes.swatch} style={{ background: `var(${line.color})` }} aria-hidden />
            {line.label}
            <b className="num">{valueAt(i) === null ? "–" : format(valueAt(i) ?? 0)}</b>
          </span>
        ))}
        <span className={classes.moment}>{hover !== null && moment !== undefined ? formatDateTime(moment * 1000, i18n.locale) : (legendNote ?? t`latest`)}</span>
      </div>
    </div>
  );
}
