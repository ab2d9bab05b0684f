import { useLingui } from "@lingui/react/macro";
import { Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type Device, presenceQuery } from "~/api/resources";
import { formatBytes, formatNumber, formatUptime } from "~/lib/format";
import { CopyButton } from "~/ui/copy";
import { Facts, Panel } from "~/ui/page";
import { TimeAgo } from "~/ui/time-ago";
import classes from "./devices.module.css";

export function DeviceDetails({ device }: { device: Device }) {
  const { t, i18n } = useLingui();
  const { data: now } = useQuery(presenceQuery(device.id));
  const seconds = now?.uptime_seconds ?? null;
  const mono = (text: string | null | undefined) => (text ? <span className="mono">{text}</span> : null);
  return (
    <Stack gap="md">
      <Panel title={t`System`}>
        <Facts
          items={[
            [t`Host name`, mono(device.hostname)],
            [t`System`, [device.os?.name, device.os?.version].filter(Boolean).join(" ")],
            [t`Kernel`, mono(device.os?.kernel)],
            [t`Architecture`, mono(device.os?.arch)],
            [t`Uptime`, seconds === null ? null : formatUptime(seconds)],
            [t`Agent`, mono(device.agent_version)],
            [t`Waiting in its spool`, now?.spool_bytes === undefined || now.spool_bytes === null ? null : formatBytes(now.spool_bytes, i18n.locale)],
            [t`Rows it had to drop`, now?.dropped_total === undefined || now.dropped_total === null ? null : formatNumber(now.dropped_total, i18n.locale)],
          ]}
        />
      </Panel>
      <Panel title={t`Hardware`}>
        <Facts
          items={[
            [t`Processor`, device.hardware?.cpu_model],
            [t`CPUs`, device.hardware ? formatNumber(device.hardware.cpu_count, i18n.locale) : null],
            [t`Memory`, device.hardware ? formatBytes(device.hardware.memory_bytes, i18n.locale) : null],
            [t`Machine id`, mono(device.hardware?.machine_id)],
          ]}
        />
      </Panel>
      <Panel title={t`Record`}>
        <Facts
          items={[
            [
              t`Id`,
              <span key="id" className={classes.id}>
                <span className="mono">{device.id}</span>
                <CopyButton value={device.id} label={t`Copy id`} />
              </span>,
            ],
            [t`Enrolled`, <TimeAgo key="created" value={device.created_at} />],
            [t`Changed`, <TimeAgo key="updated" value={device.updated_at} />],
            [t`Revision`, device.revision],
          ]}
        />
      </Panel>
    </Stack>
  );
}
