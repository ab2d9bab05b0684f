import { Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Cog, Pencil, Plus } from "lucide-react";
import { FileTools } from "~/api/files/file-tools";
import { RecordHistory } from "~/api/history/record-history";
import { RecordName } from "~/api/names";
import { type Project, projects, type Service, services } from "~/api/resources";
import { useCan } from "~/api/session";
import { curlCreate } from "~/lib/curl";
import { allOf, equals } from "~/lib/filter";
import { type Column, DataTable } from "~/ui/data-table";
import { ButtonLink, TextLink } from "~/ui/links";
import { Facts, Page, Panel } from "~/ui/page";
import { DeleteButton, Loaded } from "~/ui/record-tools";
import { EmptyState } from "~/ui/states";
import { ServiceHealth, ServiceStatus } from "~/ui/status";
import { orderBy, useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";

export default function ProjectPage() {
  const { t } = useLingui();
  const { project } = useParams({ from: "/$tenant/projects/$project" });
  return (
    <Loaded query={useQuery(projects.get(project))} title={t`Project`} permission="projects:read">
      {({ record }) => <ProjectDetails project={record} />}
    </Loaded>
  );
}

function ProjectDetails({ project }: { project: Project }) {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/projects/$project" });
  const navigate = useNavigate();
  const canWrite = useCan("projects:write");
  const canDelete = useCan("projects:delete");
  const params = { tenant, project: project.id };
  return (
    <Page
      title={project.name}
      summary={project.description}
      trail={
        <TextLink to="/$tenant/projects" params={{ tenant }} className="target" inherit>
          <Trans>Projects</Trans>
        </TextLink>
      }
      actions={
        <>
          <ButtonLink to="/$tenant/logs" params={{ tenant }} search={{ filter: equals("project_id", project.id) }} variant="default">
            <Trans>Logs</Trans>
          </ButtonLink>
          {canWrite && (
            <ButtonLink to="/$tenant/projects/$project/edit" params={params} variant="default" leftSection={<Pencil size={15} />}>
              <Trans>Edit</Trans>
            </ButtonLink>
          )}
          {canDelete && (
            <DeleteButton
              name={project.name}
              consequence={t`The project and its services go to the recycle bin. Logs and metrics stay until their retention ends.`}
              remove={() => projects.remove(project.id)}
              onDone={() => void navigate({ to: "/$tenant/projects", params: { tenant } })}
            />
          )}
        </>
      }
    >
      <Panel>
        <Facts
          items={[
            [t`Organization`, <RecordName key="org" id={project.organization_id} />],
            [t`Path`, project.path && <span className="mono">{project.path}</span>],
            [t`Tests directory`, project.tests_dir_path && <span className="mono">{project.tests_dir_path}</span>],
            [t`Changed`, <TimeAgo key="updated" value={project.updated_at} />],
          ]}
        />
      </Panel>
      <Services project={project} />
      <RecordHistory kind="project" id={project.id} />
    </Page>
  );
}

function Services({ project }: { project: Project }) {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/projects/$project" });
  const view = useTableView();
  const filter = allOf(equals("project_id", project.id), view.filter);
  const query = useInfiniteQuery(
    services.list({ filter, orderBy: orderBy(view.sort) ?? "name asc" }),
  );
  const canWrite = useCan("services:write");
  const columns: Column<Service>[] = [
    {
      id: "name",
      header: t`Service`,
      sortBy: "name",
      cell: (s) => (
        <TextLink to="/$tenant/projects/$project/services/$service" params={{ tenant, project: project.id, service: s.id }} className="target" inherit fw={500}>
          {s.name}
        </TextLink>
      ),
    },
    { id: "status", header: t`Status`, sortBy: "status", cell: (s) => <ServiceStatus status={s.status} /> },
    { id: "health", header: t`Health`, sortBy: "health", cell: (s) => <ServiceHealth health={s.health} /> },
    { id: "version", header: t`Version`, wide: true, cell: (s) => <span className="mono">{s.version ?? "–"}</span> },
    { id: "port", header: t`Port`, wide: true, numeric: true, cell: (s) => s.port ?? "–" },
    { id: "device", header: t`Device`, wide: true, cell: (s) => <RecordName id={s.device_id} /> },
    { id: "container", header: t`Container`, optional: true, cell: (s) => <span className="mono">{s.container_name ?? "–"}</span> },
    { id: "deployed", header: t`Deployed`, optional: true, cell: (s) => <TimeAgo value={s.last_deployment_at} /> },
    { id: "updated", header: t`Changed`, wide: true, cell: (s) => <TimeAgo value={s.updated_at} /> },
  ];
  const create = (
    <ButtonLink to="/$tenant/projects/$project/services/new" params={{ tenant, project: project.id }} leftSection={<Plus size={15} />}>
      <Trans>New service</Trans>
    </ButtonLink>
  );
  return (
    <DataTable
      label={t`Services`}
      query={query}
      columns={columns}
      rowKey={(s) => s.id}
      view={view}
      filterExample={`health = "critical"`}
      permission="services:read"
      tools={
        <>
          {canWrite && create}
          <FileTools kind="service" filter={filter} />
        </>
      }
      empty={
        <EmptyState
          icon={<Cog size={26} />}
          title={t`No services yet`}
          command={curlCreate(window.location.origin, "/api/v1/services", { project_id: project.id, name: "api", port: 8080 })}
        >
          <Trans>A service is one running part of the project: a process, a container, an endpoint.</Trans>
        </EmptyState>
      }
    />
  );
}
