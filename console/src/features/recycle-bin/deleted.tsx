import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Checkbox, Tooltip } from "@mantine/core";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { ArchiveRestore, Trash2 } from "lucide-react";
import { useState } from "react";
import { COLLECTIONS } from "~/api/collections";
import { KINDS, useKindNames } from "~/api/kinds";
import { RecordName } from "~/api/names";
import { Actor } from "~/api/parties";
import type { Organization } from "~/api/resources";
import { useCan } from "~/api/session";
import { allOf } from "~/lib/filter";
import { type Column, DataTable } from "~/ui/data-table";
import { useOrgFilter } from "~/ui/org";
import { EmptyState } from "~/ui/states";
import { useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";
import type { Binned } from "./kinds";
import { NotRestored } from "./not-restored";
import classes from "./recycle-bin.module.css";
import { useRestore } from "./use-restore";

/** What all deleted records have. */
type Row = Pick<Organization, "id" | "name" | "revision" | "deleted_at" | "updated_by"> & { project_id?: string };

/** The deleted records of one kind, the last one first. */
export function Deleted({ kind }: { kind: Binned }) {
  const { t } = useLingui();
  const view = useTableView();
  const org = useOrgFilter();
  const names = useKindNames();
  const { resource } = KINDS[kind];
  const narrowed = kind === "project" || kind === "device" ? org : null;
  const query = useInfiniteQuery({ ...COLLECTIONS[kind].list({ filter: allOf(narrowed, view.filter), deleted: true }), placeholderData: keepPreviousData });
  const rows: Row[] = query.data?.pages.flatMap((page) => page.data) ?? [];
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const picked = rows.filter((row) => chosen.has(row.id));
  const canRestore = useCan(`${resource}:write`);
  const restoring = useRestore(kind);
  const restore = (some: Row[]) => restoring.mutate(some, { onSuccess: () => setChosen(new Set()) });
  const choose = (ids: string[], on: boolean) => setChosen(new Set(on ? [...chosen, ...ids] : [...chosen].filter((id) => !ids.includes(id))));

  const columns: Column<Row>[] = [
    { id: "name", header: t`Name`, cell: (row) => row.name },
    ...(kind === "service" ? [{ id: "project", header: t`Project`, wide: true, cell: (row: Row) => <RecordName id={row.project_id} /> }] : []),
    { id: "deleted", header: t`Deleted`, cell: (row) => <TimeAgo value={row.deleted_at} /> },
    { id: "by", header: t`By`, wide: true, cell: (row) => <Actor id={row.updated_by} /> },
    { id: "id", header: t`Id`, optional: true, cell: (row) => <span className="mono">{row.id}</span> },
  ];
  const choice: Column<Row> = {
    id: "choice",
    header: t`Choose`,
    hideHeader: true,
    cell: (row) => <Checkbox size="xs" aria-label={t`Choose ${row.name}`} checked={chosen.has(row.id)} onChange={(event) => choose([row.id], event.currentTarget.checked)} />,
  };
  const actions: Column<Row> = {
    id: "actions",
    header: t`Actions`,
    hideHeader: true,
    numeric: true,
    cell: (row) => (
      <Tooltip label={t`Restore ${row.name}`}>
        <ActionIcon aria-label={t`Restore ${row.name}`} disabled={restoring.isPending} onClick={() => restore([row])}>
          <ArchiveRestore size={15} />
        </ActionIcon>
      </Tooltip>
    ),
  };
  const all = (
    <>
      <Checkbox
        size="xs"
        className={classes.all ?? ""}
        label={t`All shown`}
        disabled={rows.length === 0}
        checked={rows.length > 0 && picked.length === rows.length}
        indeterminate={picked.length > 0 && picked.length < rows.length}
        onChange={(event) => choose(rows.map((row) => row.id), event.currentTarget.checked)}
      />
      <Button leftSection={<ArchiveRestore size={15} />} disabled={picked.length === 0} loading={restoring.isPending} onClick={() => restore(picked)}>
        {picked.length === 0 ? <Trans>Restore</Trans> : <Plural value={picked.length} one="Restore #" other="Restore #" />}
      </Button>
    </>
  );
  return (
    <>
      {restoring.data && restoring.data.refused.length > 0 && <NotRestored refused={restoring.data.refused} />}
      <DataTable
        label={names[kind]}
        query={query}
        columns={canRestore ? [choice, ...columns, actions] : columns}
        rowKey={(row) => row.id}
        view={view}
        filterExample={`name:"berlin" AND deleted_at > now-7d`}
        permission={`${resource}:read`}
        tools={canRestore ? all : null}
        empty={
          <EmptyState
            icon={<Trash2 size={26} />}
            title={t`Nothing was deleted`}
            command={`curl -H "Authorization: Bearer $STEWARD_KEY" "${window.location.origin}/api/v1/${resource}?deleted=true"`}
          >
            <Trans>What is deleted stays here for 30 days and can be restored as it was.</Trans>
          </EmptyState>
        }
      />
    </>
  );
}
