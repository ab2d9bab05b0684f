import { Trans, useLingui } from "@lingui/react/macro";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Building2, Plus } from "lucide-react";
import { FileTools } from "~/api/files/file-tools";
import { type Organization, organizations } from "~/api/resources";
import { useCan } from "~/api/session";
import { curlCreate } from "~/lib/curl";
import { type Column, DataTable } from "~/ui/data-table";
import { ButtonLink, TextLink } from "~/ui/links";
import { Page } from "~/ui/page";
import { EmptyState } from "~/ui/states";
import { orderBy, useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";

export default function OrganizationsPage() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/organizations" });
  const view = useTableView();
  const query = useInfiniteQuery({ ...organizations.list({ filter: view.filter || undefined, orderBy: orderBy(view.sort) ?? "name asc" }), placeholderData: keepPreviousData });
  const canWrite = useCan("organizations:write");
  const columns: Column<Organization>[] = [
    {
      id: "name",
      header: t`Name`,
      sortBy: "name",
      cell: (o) => (
        <TextLink to="/$tenant/organizations/$organization" params={{ tenant, organization: o.id }} className="target" inherit fw={500}>
          {o.name}
        </TextLink>
      ),
    },
    { id: "contact", header: t`Contact`, wide: true, cell: (o) => o.contact_name ?? "–" },
    { id: "email", header: t`Contact e-mail`, wide: true, cell: (o) => o.contact_email ?? "–" },
    { id: "website", header: t`Website`, optional: true, cell: (o) => o.website ?? "–" },
    { id: "slug", header: t`Address`, optional: true, cell: (o) => <span className="mono">{o.slug ?? "–"}</span> },
    { id: "updated", header: t`Changed`, cell: (o) => <TimeAgo value={o.updated_at} /> },
  ];
  const create = (
    <ButtonLink to="/$tenant/organizations/new" params={{ tenant }} leftSection={<Plus size={15} />}>
      <Trans>New organization</Trans>
    </ButtonLink>
  );
  return (
    <Page title={t`Organizations`} summary={t`The clients or departments that devices and projects belong to.`} actions={canWrite ? create : null}>
      <DataTable
        label={t`Organizations`}
        query={query}
        columns={columns}
        rowKey={(o) => o.id}
        view={view}
        filterExample={`name:"acme"`}
        permission="organizations:read"
        tools={<FileTools kind="organization" filter={view.filter || undefined} />}
        empty={
          <EmptyState
            icon={<Building2 size={26} />}
            title={t`No organizations yet`}
            action={canWrite ? create : null}
            command={curlCreate(window.location.origin, "/api/v1/organizations", { name: "Acme" })}
          >
            <Trans>An organization is a client or department; devices, projects and permissions can be narrowed to one.</Trans>
          </EmptyState>
        }
      />
    </Page>
  );
}
