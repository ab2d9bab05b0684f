import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Archive, DatabaseBackup } from "lucide-react";
import { type Backup, backUp, BACKUPS, backupsQuery } from "~/api/backups";
import { useCan } from "~/api/session";
import { formatBytes, formatDateTime, formatNumber } from "~/lib/format";
import { asApiError } from "~/lib/problem";
import { type Column, DataTable } from "~/ui/data-table";
import { TextLink } from "~/ui/links";
import { Page } from "~/ui/page";
import { EmptyState } from "~/ui/states";
import { useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";
import { toast } from "~/ui/toasts";
import { BackupAge } from "./backup-age";
import { BackupJobs } from "./backup-jobs";
import { BackupSchedules } from "./backup-schedules";
import { BackupStatus } from "./backup-status";
import { Extent } from "./extent";
import { NoPlace } from "./no-place";

/** The backups of the installation; only its operator sees them. */
export default function BackupsPage() {
  const { t, i18n } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/backups" });
  const view = useTableView();
  const query = useInfiniteQuery(backupsQuery);
  const canMake = useCan("platform:execute");
  const nowhere = query.error && asApiError(query.error).code === "backup_place_missing";
  const formatted = (value: number | null | undefined, format: (value: number, locale: string) => string) => (typeof value === "number" ? format(value, i18n.locale) : "–");
  const columns: Column<Backup>[] = [
    {
      id: "made",
      header: t`Made`,
      cell: (b) => (
        <TextLink to="/$tenant/backups/$backup" params={{ tenant, backup: b.name }} className="target" inherit fw={500}>
          {formatDateTime(Date.parse(b.made_at), i18n.locale)}
        </TextLink>
      ),
    },
    { id: "status", header: t`State`, cell: (b) => <BackupStatus backup={b} /> },
    { id: "size", header: t`Size`, numeric: true, cell: (b) => formatted(b.bytes, formatBytes) },
    { id: "tenants", header: t`Tenants`, numeric: true, wide: true, cell: (b) => formatted(b.tenants, formatNumber) },
    { id: "of", header: t`Extent`, wide: true, cell: (b) => <Extent backup={b} /> },
    { id: "verified", header: t`Verified`, wide: true, cell: (b) => <TimeAgo value={b.verified_at} /> },
    { id: "name", header: t`Id`, optional: true, cell: (b) => <span className="mono">{b.name}</span> },
  ];
  const make = canMake && !nowhere && <BackUpNow />;
  const backups = query.data?.pages.flatMap((page) => page.data);
  return (
    <Page title={t`Backups`} summary={t`Copies of the whole installation, made while it is served.`} actions={make}>
      {nowhere ? (
        <NoPlace />
      ) : (
        <>
          {backups && backups.length > 0 && <BackupAge backups={backups} />}
          {query.data && <BackupJobs />}
          <DataTable
            label={t`Backups`}
            query={query}
            columns={columns}
            rowKey={(b) => b.name}
            view={view}
            permission="platform:read"
            empty={
              <EmptyState
                icon={<Archive size={26} />}
                title={t`No backups yet`}
                action={make}
                command={`curl -X POST -H "Authorization: Bearer $STEWARD_KEY" -H 'Content-Type: application/json' -d '{}' ${window.location.origin}/api/v1/backups`}
              >
                <Trans>A backup holds the records, files, logs and metrics of every tenant. The master key is not in it: keep a copy of that elsewhere.</Trans>
              </EmptyState>
            }
          />
          {query.data && <BackupSchedules />}
        </>
      )}
    </Page>
  );
}

function BackUpNow() {
  const { t } = useLingui();
  const queries = useQueryClient();
  const making = useMutation({
    mutationFn: backUp,
    onSuccess: () => queries.invalidateQueries({ queryKey: ["jobs"] }),
    onError: (error) => toast(t`No backup was begun: ${asApiError(error).message}`, { failed: true }),
    onSettled: () => queries.invalidateQueries({ queryKey: BACKUPS }),
  });
  return (
    <Button leftSection={<DatabaseBackup size={15} />} loading={making.isPending} onClick={() => making.mutate()}>
      <Trans>Back up now</Trans>
    </Button>
  );
}
