import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Pencil } from "lucide-react";
import type { ReactNode } from "react";
import { RecordHistory } from "~/api/history/record-history";
import { RecordName } from "~/api/names";
import { projects, type Service, services } from "~/api/resources";
import { useCan } from "~/api/session";
import { formatUptime } from "~/lib/format";
import { ButtonLink, TextLink, WebLink } from "~/ui/links";
import { Facts, Page, Panel } from "~/ui/page";
import { DeleteButton, Loaded } from "~/ui/record-tools";
import { ServiceHealth, ServiceStatus } from "~/ui/status";
import { TimeAgo } from "~/ui/time-ago";

/** One service; `logs` is what the route composes under its facts. */
export function ServicePage({ logs }: { logs: (service: Service) => ReactNode }) {
  const { t } = useLingui();
  const { service } = useParams({ from: "/$tenant/projects/$project/services/$service" });
  return (
    <Loaded query={useQuery(services.get(service))} title={t`Service`} permission="services:read">
      {({ record }) => <ServiceDetails service={record} logs={logs(record)} />}
    </Loaded>
  );
}

function ServiceDetails({ service, logs }: { service: Service; logs: ReactNode }) {
  const { t } = useLingui();
  const params = useParams({ from: "/$tenant/projects/$project/services/$service" });
  const { tenant, project } = params;
  const navigate = useNavigate();
  const canWrite = useCan("services:write");
  const canDelete = useCan("services:delete");
  const parent = useQuery({ ...projects.get(project), staleTime: 60_000 });
  return (
    <Page
      title={service.name}
      summary={service.description}
      aside={
        <>
          <ServiceStatus status={service.status} />
          <ServiceHealth health={service.health} />
        </>
      }
      trail={
        <>
          <TextLink to="/$tenant/projects" params={{ tenant }} className="target" inherit>
            <Trans>Projects</Trans>
          </TextLink>
          <span aria-hidden>/</span>
          <TextLink to="/$tenant/projects/$project" params={{ tenant, project }} className="target" inherit>
            {parent.data?.record.name ?? t`Project`}
          </TextLink>
        </>
      }
      actions={
        <>
          {canWrite && (
            <ButtonLink to="/$tenant/projects/$project/services/$service/edit" params={params} variant="default" leftSection={<Pencil size={15} />}>
              <Trans>Edit</Trans>
            </ButtonLink>
          )}
          {canDelete && (
            <DeleteButton
              name={service.name}
              consequence={t`The service goes to the recycle bin. Its logs and metrics stay until their retention ends.`}
              remove={() => services.remove(service.id)}
              onDone={() => void navigate({ to: "/$tenant/projects/$project", params: { tenant, project } })}
            />
          )}
        </>
      }
    >
      <Panel>
        <Facts
          items={[
            [t`URL`, service.url && <WebLink key="url" url={service.url} />],
            [t`Port`, service.port],
            [t`Version`, service.version && <span className="mono">{service.version}</span>],
            [t`Container`, service.container_name && <span className="mono">{service.container_name}</span>],
            [t`Device`, <RecordName key="device" id={service.device_id} />],
            [t`Uptime`, service.uptime_seconds === null || service.uptime_seconds === undefined ? null : formatUptime(service.uptime_seconds)],
            [t`Deployed`, <TimeAgo key="deployed" value={service.last_deployment_at} />],
            [t`Changed`, <TimeAgo key="updated" value={service.updated_at} />],
          ]}
        />
      </Panel>
      {logs}
      <RecordHistory kind="service" id={service.id} />
    </Page>
  );
}
