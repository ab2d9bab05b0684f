import { Trans, useLingui } from "@lingui/react/macro";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Boxes, Plus } from "lucide-react";
import { FileTools } from "~/api/files/file-tools";
import { RecordName } from "~/api/names";
import { type Project, projects } from "~/api/resources";
import { useCan } from "~/api/session";
import { curlCreate } from "~/lib/curl";
import { allOf } from "~/lib/filter";
import { type Column, DataTable } from "~/ui/data-table";
import { ButtonLink, TextLink } from "~/ui/links";
import { useOrgFilter } from "~/ui/org";
import { Page } from "~/ui/page";
import { EmptyState } from "~/ui/states";
import { orderBy, useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";

export default function ProjectsPage() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/projects" });
  const view = useTableView();
  const org = useOrgFilter();
  const filter = allOf(org, view.filter);
  const query = useInfiniteQuery({ ...projects.list({ filter, orderBy: orderBy(view.sort) ?? "name asc" }), placeholderData: keepPreviousData });
  const canWrite = useCan("projects:write");
  const columns: Column<Project>[] = [
    {
      id: "name",
      header: t`Name`,
      sortBy: "name",
      cell: (p) => (
        <TextLink to="/$tenant/projects/$project" params={{ tenant, project: p.id }} className="target" inherit fw={500}>
          {p.name}
        </TextLink>
      ),
    },
    { id: "description", header: t`Description`, wide: true, cell: (p) => p.description ?? "–" },
    { id: "organization", header: t`Organization`, wide: true, cell: (p) => <RecordName id={p.organization_id} /> },
    { id: "path", header: t`Path`, optional: true, cell: (p) => <span className="mono">{p.path ?? "–"}</span> },
    { id: "updated", header: t`Changed`, cell: (p) => <TimeAgo value={p.updated_at} /> },
  ];
  const create = (
    <ButtonLink to="/$tenant/projects/new" params={{ tenant }} leftSection={<Plus size={15} />}>
      <Trans>New project</Trans>
    </ButtonLink>
  );
  return (
    <Page title={t`Projects`} summary={t`What you build and run, with its services.`} actions={canWrite ? create : null}>
      <DataTable
        label={t`Projects`}
        query={query}
        columns={columns}
        rowKey={(p) => p.id}
        view={view}
        filterExample={`name:"shop"`}
        permission="projects:read"
        tools={<FileTools kind="project" filter={filter} />}
        empty={
          <EmptyState
            icon={<Boxes size={26} />}
            title={t`No projects yet`}
            action={canWrite ? create : null}
            command={curlCreate(window.location.origin, "/api/v1/projects", { name: "Shop" })}
          >
            <Trans>A project groups the services of one product, with their state, health, logs and metrics.</Trans>
          </EmptyState>
        }
      />
    </Page>
  );
}
