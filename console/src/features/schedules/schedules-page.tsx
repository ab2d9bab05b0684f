import { Trans, useLingui } from "@lingui/react/macro";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { CalendarClock, Plus } from "lucide-react";
import { FileTools } from "~/api/files/file-tools";
import { useJobTitle } from "~/api/job-titles";
import { type Schedule, schedules } from "~/api/resources";
import { useCan } from "~/api/session";
import { curlCreate } from "~/lib/curl";
import { BIN } from "~/lib/schedule-payload";
import { type Column, DataTable } from "~/ui/data-table";
import { ButtonLink, TextLink } from "~/ui/links";
import { Page } from "~/ui/page";
import { EmptyState } from "~/ui/states";
import { orderBy, useTableView } from "~/ui/table-view";
import { ScheduleStatus } from "~/ui/status";
import { TimeAgo } from "~/ui/time-ago";
import { When } from "~/ui/when";

export default function SchedulesPage() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/schedules" });
  const view = useTableView();
  const jobTitle = useJobTitle();
  const filter = view.filter || undefined;
  const query = useInfiniteQuery({ ...schedules.list({ filter, orderBy: orderBy(view.sort) ?? "name asc" }), placeholderData: keepPreviousData });
  const canWrite = useCan("schedules:write");
  const columns: Column<Schedule>[] = [
    {
      id: "name",
      header: t`Name`,
      sortBy: "name",
      cell: (s) => (
        <TextLink to="/$tenant/schedules/$schedule" params={{ tenant, schedule: s.id }} className="target" inherit fw={500}>
          {s.name}
        </TextLink>
      ),
    },
    { id: "job", header: t`Job`, sortBy: "job", wide: true, cell: (s) => jobTitle(s.job) },
    { id: "when", header: t`When`, cell: (s) => <When cron={s.cron} /> },
    { id: "zone", header: t`Time zone`, wide: true, cell: (s) => s.time_zone },
    { id: "status", header: t`State`, cell: (s) => <ScheduleStatus enabled={s.enabled} /> },
    { id: "updated", header: t`Changed`, wide: true, cell: (s) => <TimeAgo value={s.updated_at} /> },
    { id: "id", header: t`Id`, optional: true, cell: (s) => <span className="mono">{s.id}</span> },
  ];
  const create = canWrite && (
    <ButtonLink to="/$tenant/schedules/new" params={{ tenant }} leftSection={<Plus size={15} />}>
      <Trans>New schedule</Trans>
    </ButtonLink>
  );
  const example = { name: "Bin", job: BIN, cron: "30 2 * * *", payload: { older_than_days: 7 } };
  return (
    <Page title={t`Schedules`} summary={t`Jobs that start by the clock.`} actions={create}>
      <DataTable
        label={t`Schedules`}
        query={query}
        columns={columns}
        rowKey={(s) => s.id}
        view={view}
        filterExample={`job = "${BIN}"`}
        permission="schedules:read"
        tools={<FileTools kind="schedule" filter={filter} />}
        empty={
          <EmptyState icon={<CalendarClock size={26} />} title={t`No schedules yet`} action={create} command={curlCreate(window.location.origin, "/api/v1/schedules", example)}>
            <Trans>A schedule starts a job at its times: to empty the recycle bin, to give secrets a new key, or to verify that no event was tampered with.</Trans>
          </EmptyState>
        }
      />
    </Page>
  );
}
