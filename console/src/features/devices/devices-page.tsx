import { Trans, useLingui } from "@lingui/react/macro";
import { Badge } from "@mantine/core";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Plus, Server } from "lucide-react";
import { FileTools } from "~/api/files/file-tools";
import { RecordName } from "~/api/names";
import { type Device, devices } from "~/api/resources";
import { useCan } from "~/api/session";
import { allOf } from "~/lib/filter";
import { formatBytes } from "~/lib/format";
import { type Column, DataTable } from "~/ui/data-table";
import { ButtonLink, TextLink } from "~/ui/links";
import { useOrgFilter } from "~/ui/org";
import { Page } from "~/ui/page";
import { EmptyState } from "~/ui/states";
import { DeviceStatus } from "~/ui/status";
import { orderBy, useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";

const REFRESH_MS = 15_000;

export default function DevicesPage() {
  const { t, i18n } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/devices" });
  const view = useTableView();
  const org = useOrgFilter();
  const filter = allOf(org, view.filter);
  const query = useInfiniteQuery({
    placeholderData: keepPreviousData,
    ...devices.list({ filter, orderBy: orderBy(view.sort) ?? "name asc" }),
    refetchInterval: REFRESH_MS,
  });
  const canAdd = useCan("enrollment-tokens:write");
  const columns: Column<Device>[] = [
    {
      id: "name",
      header: t`Name`,
      sortBy: "name",
      cell: (d) => (
        <TextLink to="/$tenant/devices/$device" params={{ tenant, device: d.id }} className="target" inherit fw={500}>
          {d.name}
        </TextLink>
      ),
    },
    { id: "status", header: t`Status`, sortBy: "status", cell: (d) => <DeviceStatus status={d.status} /> },
    { id: "reason", header: t`Reason`, wide: true, cell: (d) => d.status_reason || "–" },
    { id: "os", header: t`System`, wide: true, cell: (d) => [d.os?.name, d.os?.version].filter(Boolean).join(" ") || "–" },
    { id: "organization", header: t`Organization`, wide: true, cell: (d) => <RecordName id={d.organization_id} /> },
    {
      id: "tags",
      header: t`Tags`,
      optional: true,
      cell: (d) =>
        (d.tags ?? []).map((tag) => (
          <Badge key={tag} color="gray" mr={4}>
            {tag}
          </Badge>
        )),
    },
    { id: "hostname", header: t`Host name`, optional: true, sortBy: "hostname", cell: (d) => <span className="mono">{d.hostname}</span> },
    { id: "memory", header: t`Memory`, optional: true, numeric: true, cell: (d) => (d.hardware ? formatBytes(d.hardware.memory_bytes, i18n.locale) : "–") },
    { id: "cpus", header: t`CPUs`, optional: true, numeric: true, cell: (d) => d.hardware?.cpu_count ?? "–" },
    { id: "agent", header: t`Agent`, optional: true, cell: (d) => <span className="mono">{d.agent_version}</span> },
    { id: "seen", header: t`Last seen`, cell: (d) => (d.status === "online" ? t`now` : <TimeAgo value={d.last_seen} />) },
  ];
  const add = (
    <ButtonLink to="/$tenant/devices/add" params={{ tenant }} leftSection={<Plus size={15} />}>
      <Trans>Add a device</Trans>
    </ButtonLink>
  );
  return (
    <Page title={t`Devices`} summary={t`Machines whose agent reports to this tenant.`} actions={canAdd ? add : null}>
      <DataTable
        label={t`Devices`}
        query={query}
        columns={columns}
        rowKey={(d) => d.id}
        view={view}
        filterExample={`status = "offline" AND tags:prod`}
        permission="devices:read"
        tools={<FileTools kind="device" filter={filter} />}
        empty={
          <EmptyState
            icon={<Server size={26} />}
            title={t`No devices yet`}
            action={canAdd ? add : null}
            command={`steward agent run --server ${window.location.origin} --token "$TOKEN" --state ./agent`}
          >
            <Trans>A device is a machine that runs the Steward agent; it reports its metrics and logs from the first minute.</Trans>
          </EmptyState>
        }
      />
    </Page>
  );
}
