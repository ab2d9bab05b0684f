import { Trans, useLingui } from "@lingui/react/macro";
import { Badge, Tabs } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Pencil } from "lucide-react";
import type { ReactNode } from "react";
import { RecordHistory } from "~/api/history/record-history";
import { RecordName } from "~/api/names";
import { type Device, devices, presenceQuery } from "~/api/resources";
import { useCan } from "~/api/session";
import { ButtonLink, TextLink } from "~/ui/links";
import { Page } from "~/ui/page";
import { DeleteButton, Loaded } from "~/ui/record-tools";
import { DeviceStatus } from "~/ui/status";
import { TimeAgo } from "~/ui/time-ago";
import { DeviceDetails } from "./device-details";
import { DeviceMetrics } from "./device-metrics";
import classes from "./devices.module.css";

const TABS = ["metrics", "logs", "details", "history"] as const;
type Tab = (typeof TABS)[number];

/** One device; `logs` is what the route composes under its logs tab. */
export function DevicePage({ logs }: { logs: (device: Device) => ReactNode }) {
  const { t } = useLingui();
  const { device } = useParams({ from: "/$tenant/devices/$device" });
  return (
    <Loaded query={useQuery(devices.get(device))} title={t`Device`} permission="devices:read">
      {({ record }) => <DeviceView device={record} logs={logs} />}
    </Loaded>
  );
}

function DeviceView({ device, logs }: { device: Device; logs: (device: Device) => ReactNode }) {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/devices/$device" });
  const search = useSearch({ from: "/$tenant/devices/$device" });
  const navigate = useNavigate();
  const canWrite = useCan("devices:write");
  const canDelete = useCan("devices:delete");
  const tab: Tab = TABS.find((x) => x === search.tab) ?? "metrics";
  const params = { tenant, device: device.id };
  const open = (next: string | null) =>
    void navigate({ to: "/$tenant/devices/$device", params, search: { tab: next && next !== "metrics" ? next : undefined, range: search.range, from: search.from, to: search.to } });
  return (
    <Page
      title={device.name}
      aside={<PresenceBadge device={device} />}
      summary={<StateLine device={device} />}
      trail={
        <TextLink to="/$tenant/devices" params={{ tenant }} className="target" inherit>
          <Trans>Devices</Trans>
        </TextLink>
      }
      actions={
        <>
          {canWrite && (
            <ButtonLink to="/$tenant/devices/$device/edit" params={params} variant="default" leftSection={<Pencil size={15} />}>
              <Trans>Edit</Trans>
            </ButtonLink>
          )}
          {canDelete && (
            <DeleteButton
              name={device.name}
              consequence={t`The device goes to the recycle bin and its agent is refused from now on. Its logs and metrics stay until their retention ends.`}
              remove={() => devices.remove(device.id)}
              onDone={() => void navigate({ to: "/$tenant/devices", params: { tenant } })}
            />
          )}
        </>
      }
    >
      <Tabs value={tab} onChange={open} keepMounted={false}>
        <Tabs.List className={classes.tabs ?? ""}>
          <Tabs.Tab value="metrics">
            <Trans>Metrics</Trans>
          </Tabs.Tab>
          <Tabs.Tab value="logs">
            <Trans>Logs</Trans>
          </Tabs.Tab>
          <Tabs.Tab value="details">
            <Trans>Details</Trans>
          </Tabs.Tab>
          <Tabs.Tab value="history">
            <Trans>History</Trans>
          </Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="metrics" pt="md">
          <DeviceMetrics device={device} />
        </Tabs.Panel>
        <Tabs.Panel value="logs" pt="md">
          {logs(device)}
        </Tabs.Panel>
        <Tabs.Panel value="details" pt="md">
          <DeviceDetails device={device} />
        </Tabs.Panel>
        <Tabs.Panel value="history" pt="md">
          <RecordHistory kind="device" id={device.id} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function PresenceBadge({ device }: { device: Device }) {
  const presence = useQuery(presenceQuery(device.id));
  return <DeviceStatus status={presence.data?.status ?? device.status} />;
}

/** Why the device is in its state, where it belongs, and when it was last heard. */
function StateLine({ device }: { device: Device }) {
  const presence = useQuery(presenceQuery(device.id));
  const reason = presence.data?.reason ?? device.status_reason;
  const seen = presence.data?.last_heartbeat ?? device.last_seen;
  return (
    <span className={classes.state}>
      {reason && <span>{reason}</span>}
      {seen && (
        <span>
          <Trans>
            Last seen <TimeAgo value={seen} />
          </Trans>
        </span>
      )}
      {device.organization_id && <RecordName id={device.organization_id} />}
      {(device.tags ?? []).map((tag) => (
        <Badge key={tag} color="gray">
          {tag}
        </Badge>
      ))}
    </span>
  );
}
