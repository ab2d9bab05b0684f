import { Trans, useLingui } from "@lingui/react/macro";
import { Button, SimpleGrid } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Pause, Play } from "lucide-react";
import { useMemo } from "react";
import { useQuery } from "@tanstack/react-query";
import type { Device } from "~/api/resources";
import { type SeriesRequest, seriesQuery } from "~/api/telemetry";
import { equals } from "~/lib/filter";
import { formatBytes, formatNumber, formatPercent } from "~/lib/format";
import { asApiError } from "~/lib/problem";
import { align } from "~/lib/series";
import type { TimeRange } from "~/lib/time-range";
import { Chart } from "~/ui/chart/chart";
import { Panel } from "~/ui/page";
import { useRangeView } from "~/ui/range-view";
import { Failure, LoadingBlock } from "~/ui/states";
import { TimeRangePicker } from "~/ui/time-range-picker";
import classes from "./devices.module.css";

const FIRST_LOOK: TimeRange = { kind: "relative", seconds: 900 };
const LIVE_MS = 5000;
const COLORS = ["--s-1", "--s-2", "--s-3", "--s-4", "--s-5", "--s-6"];

interface ChartSpec {
  id: string;
  title: string;
  request: Omit<SeriesRequest, "filter">;
  /** The label whose values tell the lines apart. */
  by?: string;
  names?: Record<string, string>;
  /** Only these values of the label, in this order. */
  only?: readonly string[];
  single: string;
  format(value: number): string;
  max?: number;
  binary?: boolean;
}

/** The machine's figures over the range in the URL; a relative range moves with the clock until it is paused. */
export function DeviceMetrics({ device }: { device: Device }) {
  const { t, i18n } = useLingui();
  const search = useSearch({ from: "/$tenant/devices/$device" });
  const navigate = useNavigate();
  const [range, setRange] = useRangeView(FIRST_LOOK);
  const paused = search.live === "off";
  const live = range.kind === "relative" && !paused;
  const locale = i18n.locale;
  const percent = (v: number) => formatPercent(v, locale, v > 0 && v < 0.1 ? 1 : 0);
  const bytes = (v: number) => formatBytes(v, locale);
  const perSecond = (v: number) => `${formatBytes(v, locale)}/s`;
  const memory = device.hardware?.memory_bytes;

  const charts: ChartSpec[] = [
    { id: "cpu", title: t`CPU`, request: { name: "system.cpu.utilization", aggregate: "avg" }, single: t`Used`, format: percent, max: 1 },
    { id: "load", title: t`Load average, 1 min`, request: { name: "system.cpu.load_average.1m", aggregate: "avg" }, single: t`Load`, format: (v) => formatNumber(v, locale, 2) },
    {
      id: "memory",
      title: t`Memory`,
      request: { name: "system.memory.usage", aggregate: "avg", groupBy: "state" },
      by: "state",
      only: ["used", "cached"],
      names: { used: t`Used`, cached: t`Cached` },
      single: t`Used`,
      format: bytes,
      binary: true,
      ...(memory ? { max: memory } : {}),
    },
    { id: "filesystem", title: t`Disk space`, request: { name: "system.filesystem.utilization", aggregate: "max", groupBy: "mountpoint" }, by: "mountpoint", single: t`Used`, format: percent, max: 1 },
    {
      id: "disk",
      title: t`Disk traffic`,
      request: { name: "system.disk.io", aggregate: "rate", groupBy: "direction" },
      by: "direction",
      names: { read: t`Read`, write: t`Written` },
      single: t`All`,
      format: perSecond,
      binary: true,
    },
    {
      id: "network",
      title: t`Network traffic`,
      request: { name: "system.network.io", aggregate: "rate", groupBy: "direction" },
      by: "direction",
      names: { receive: t`Received`, transmit: t`Sent` },
      single: t`All`,
      format: perSecond,
      binary: true,
    },
  ];
  const toggle = () => void navigate({ to: ".", search: (prev) => ({ ...prev, live: paused ? undefined : "off" }), replace: true });
  return (
    <>
      <div className={classes.toolbar}>
        <span className={classes.live} aria-live="polite">
          <span className={classes.pulse} data-live={live || undefined} aria-hidden />
          {live ? <Trans>Live</Trans> : range.kind === "relative" ? <Trans>Paused</Trans> : <Trans>Fixed range</Trans>}
        </span>
        <div className={classes.live}>
          {range.kind === "relative" && (
            <Button variant="default" leftSection={paused ? <Play size={14} /> : <Pause size={14} />} onClick={toggle}>
              {paused ? <Trans>Resume</Trans> : <Trans>Pause</Trans>}
            </Button>
          )}
          <TimeRangePicker value={range} onChange={setRange} />
        </div>
      </div>
      <SimpleGrid cols={{ base: 1, lg: 2 }} spacing="md">
        {charts.map((spec) => (
          <MetricPanel key={spec.id} spec={spec} device={device.id} range={range} live={live} onSelect={(from, to) => setRange({ kind: "absolute", from, to })} />
        ))}
      </SimpleGrid>
    </>
  );
}

interface MetricPanelProps {
  spec: ChartSpec;
  device: string;
  range: TimeRange;
  live: boolean;
  onSelect(from: number, to: number): void;
}

function MetricPanel({ spec, device, range, live, onSelect }: MetricPanelProps) {
  const { data, error, isPending, refetch } = useQuery({
    ...seriesQuery({ ...spec.request, filter: equals("device_id", device) }, range),
    refetchInterval: live ? LIVE_MS : false,
  });
  const { by, only } = spec;
  const { lines, x, y } = useMemo(() => {
    const label = (labels: Record<string, string>) => (by ? (labels[by] ?? "") : "");
    const wanted = (data?.series ?? []).filter((s) => !only || only.includes(label(s.labels)));
    wanted.sort((a, b) => (only ? only.indexOf(label(a.labels)) - only.indexOf(label(b.labels)) : label(a.labels).localeCompare(label(b.labels))));
    const shown = wanted.slice(0, COLORS.length);
    return { lines: shown.map((s) => label(s.labels)), ...align(shown, data?.step ?? 10) };
  }, [data, by, only]);

  return (
    <Panel title={spec.title} label={spec.title}>
      {isPending && <LoadingBlock height={192} />}
      {error && !data && <Failure error={asApiError(error)} permission="metrics:read" onRetry={() => void refetch()} />}
      {data && x.length === 0 && (
        <div className={classes.quiet}>
          <Trans>Nothing was reported in this time.</Trans>
        </div>
      )}
      {data && x.length > 0 && (
        <Chart
          label={spec.title}
          lines={lines.map((value, i) => ({ label: value ? (spec.names?.[value] ?? value) : spec.single, color: COLORS[i] ?? "--s-1", fill: lines.length === 1 || i === 0 }))}
          x={x}
          y={y}
          span={data.span}
          format={spec.format}
          sync={`device-${device}`}
          onSelect={onSelect}
          binary={spec.binary ?? false}
          {...(spec.max === undefined ? {} : { max: spec.max })}
        />
      )}
    </Panel>
  );
}
