import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Server } from "lucide-react";
import { useMemo } from "react";
import type { Device } from "~/api/resources";
import { type SeriesRequest, seriesQuery } from "~/api/telemetry";
import { equals } from "~/lib/filter";
import { formatPercent } from "~/lib/format";
import { asApiError } from "~/lib/problem";
import { align, latest } from "~/lib/series";
import type { TimeRange } from "~/lib/time-range";
import { ButtonLink, TextLink } from "~/ui/links";
import { Panel } from "~/ui/page";
import { Meter, Sparkline } from "~/ui/sparkline";
import { EmptyState, Failure, LoadingBlock } from "~/ui/states";
import { DeviceStatus } from "~/ui/status";
import classes from "./overview.module.css";
import { useDevices } from "./use-facts";

const SHOWN = 6;
const LIVE_MS = 10_000;
const WINDOW: TimeRange = { kind: "relative", seconds: 900 };

/** The first machines with their present load; those that report come first. */
export function DeviceCards() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/" });
  const { rows, isPending, error, refetch } = useDevices();
  if (isPending) return <LoadingBlock height={150} />;
  if (error && rows.length === 0) return <Failure error={asApiError(error)} permission="devices:read" onRetry={() => void refetch()} />;
  if (rows.length === 0) {
    return (
      <Panel>
        <EmptyState
          icon={<Server size={26} />}
          title={t`No device reports yet`}
          action={
            <ButtonLink to="/$tenant/devices/add" params={{ tenant }}>
              <Trans>Add a device</Trans>
            </ButtonLink>
          }
          command="steward serve --data ./steward-data --watch"
        >
          <Trans>A device is a machine that runs the agent. Started with --watch, the server watches its own machine.</Trans>
        </EmptyState>
      </Panel>
    );
  }
  const first = [...rows].sort((a, b) => Number(b.status === "online") - Number(a.status === "online")).slice(0, SHOWN);
  return (
    <div className={classes.cards}>
      {first.map((device) => (
        <DeviceCard key={device.id} device={device} tenant={tenant} />
      ))}
    </div>
  );
}

function DeviceCard({ device, tenant }: { device: Device; tenant: string }) {
  const { t, i18n } = useLingui();
  const cpu = useDeviceSeries(device, { name: "system.cpu.utilization", aggregate: "avg" });
  const memory = useDeviceSeries(device, { name: "system.memory.utilization", aggregate: "avg" });
  const disk = useDeviceSeries(device, { name: "system.filesystem.utilization", aggregate: "max" });
  const drawn = useMemo(() => align(cpu?.series.slice(0, 1) ?? [], cpu?.step ?? 10), [cpu]);
  const values = [
    { label: t`CPU`, value: latest(cpu?.series[0]?.points) },
    { label: t`Memory`, value: latest(memory?.series[0]?.points) },
    { label: t`Disk`, value: latest(disk?.series[0]?.points) },
  ];
  return (
    <article className={classes.card} aria-label={device.name}>
      <div className={classes.cardHead}>
        <TextLink to="/$tenant/devices/$device" params={{ tenant, device: device.id }} className="target" inherit fw={600}>
          {device.name}
        </TextLink>
        <DeviceStatus status={device.status} />
      </div>
      <Sparkline x={drawn.x} y={drawn.y[0] ?? []} from={(cpu?.span.from ?? 0) / 1000} to={(cpu?.span.to ?? 1) / 1000} max={1} />
      <div className={classes.gauges}>
        {values.map(({ label, value }) => (
          <div key={label}>
            <div className={classes.gauge}>
              <span>{label}</span>
              <b className="num">{value === null ? "–" : formatPercent(value, i18n.locale)}</b>
            </div>
            <Meter value={value} label={`${device.name}: ${label}`} />
          </div>
        ))}
      </div>
    </article>
  );
}

function useDeviceSeries(device: Device, request: Omit<SeriesRequest, "filter">) {
  const { data } = useQuery({ ...seriesQuery({ ...request, filter: equals("device_id", device.id) }, WINDOW, 90), refetchInterval: LIVE_MS });
  return data;
}
