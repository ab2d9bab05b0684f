import { Trans, useLingui } from "@lingui/react/macro";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Landmark, Plus, Upload } from "lucide-react";
import { FileTools } from "~/api/files/file-tools";
import { type Tenant, tenants } from "~/api/resources";
import { useCan } from "~/api/session";
import { curlCreate } from "~/lib/curl";
import { type Column, DataTable } from "~/ui/data-table";
import { ButtonLink, TextLink } from "~/ui/links";
import { Page } from "~/ui/page";
import { EmptyState } from "~/ui/states";
import { orderBy, useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";
import { TenantStatus } from "./tenant-status";

/** The tenants of the installation; only its operator sees them. */
export default function TenantsPage() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/tenants" });
  const view = useTableView();
  const filter = view.filter || undefined;
  const query = useInfiniteQuery({ ...tenants.list({ filter, orderBy: orderBy(view.sort) ?? "name asc" }), placeholderData: keepPreviousData });
  const canWrite = useCan("tenants:write");
  const columns: Column<Tenant>[] = [
    {
      id: "name",
      header: t`Name`,
      sortBy: "name",
      cell: (row) => (
        <TextLink to="/$tenant/tenants/$id" params={{ tenant, id: row.id }} className="target" inherit fw={500}>
          {row.name}
        </TextLink>
      ),
    },
    { id: "slug", header: t`Address`, sortBy: "slug", wide: true, cell: (row) => <span className="mono">{row.slug}</span> },
    { id: "status", header: t`State`, sortBy: "status", cell: (row) => <TenantStatus status={row.status} /> },
    { id: "created", header: t`Created`, wide: true, cell: (row) => <TimeAgo value={row.created_at} /> },
    { id: "id", header: t`Id`, optional: true, cell: (row) => <span className="mono">{row.id}</span> },
  ];
  const create = canWrite && (
    <ButtonLink to="/$tenant/tenants/new" params={{ tenant }} leftSection={<Plus size={15} />}>
      <Trans>New tenant</Trans>
    </ButtonLink>
  );
  return (
    <Page
      title={t`Tenants`}
      summary={t`The customers of this installation. Each has its own data, people and devices.`}
      actions={
        <>
          {canWrite && (
            <ButtonLink to="/$tenant/tenants/import" params={{ tenant }} variant="default" leftSection={<Upload size={15} />}>
              <Trans>Take in from a file</Trans>
            </ButtonLink>
          )}
          {create}
        </>
      }
    >
      <DataTable
        label={t`Tenants`}
        query={query}
        columns={columns}
        rowKey={(row) => row.id}
        view={view}
        filterExample={`status = "suspended"`}
        permission="tenants:read"
        tools={<FileTools kind="tenant" filter={filter} />}
        empty={
          <EmptyState icon={<Landmark size={26} />} title={t`No tenants yet`} action={create} command={curlCreate(window.location.origin, "/api/v1/tenants", { name: "Acme", slug: "acme" })}>
            <Trans>A tenant is a customer of this installation, apart from all others.</Trans>
          </EmptyState>
        }
      />
    </Page>
  );
}
