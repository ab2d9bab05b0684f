import { Trans, useLingui } from "@lingui/react/macro";
import { Anchor, Button, SimpleGrid, Text } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Boxes, Pencil, Server } from "lucide-react";
import { RecordHistory } from "~/api/history/record-history";
import { devices, type Organization, organizations, projects } from "~/api/resources";
import { useCan } from "~/api/session";
import { equals } from "~/lib/filter";
import { asApiError } from "~/lib/problem";
import { ButtonLink, TextLink, WebLink } from "~/ui/links";
import { Facts, Page, Panel } from "~/ui/page";
import { DeleteButton, Loaded } from "~/ui/record-tools";
import { Failure, LoadingBlock } from "~/ui/states";
import { DeviceStatus } from "~/ui/status";
import { TimeAgo } from "~/ui/time-ago";
import classes from "./organization-page.module.css";

export default function OrganizationPage() {
  const { t } = useLingui();
  const { organization } = useParams({ from: "/$tenant/organizations/$organization" });
  return (
    <Loaded query={useQuery(organizations.get(organization))} title={t`Organization`} permission="organizations:read">
      {({ record }) => <OrganizationDetails organization={record} />}
    </Loaded>
  );
}

function OrganizationDetails({ organization }: { organization: Organization }) {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/organizations/$organization" });
  const navigate = useNavigate();
  const canWrite = useCan("organizations:write");
  const canDelete = useCan("organizations:delete");
  const params = { tenant, organization: organization.id };
  const narrow = () => void navigate({ to: "/$tenant", params: { tenant }, search: { org: organization.id } });
  return (
    <Page
      title={organization.name}
      trail={
        <TextLink to="/$tenant/organizations" params={{ tenant }} className="target" inherit>
          <Trans>Organizations</Trans>
        </TextLink>
      }
      actions={
        <>
          <Button variant="default" onClick={narrow}>
            <Trans>Show only this organization</Trans>
          </Button>
          {canWrite && (
            <ButtonLink to="/$tenant/organizations/$organization/edit" params={params} variant="default" leftSection={<Pencil size={15} />}>
              <Trans>Edit</Trans>
            </ButtonLink>
          )}
          {canDelete && (
            <DeleteButton
              name={organization.name}
              consequence={t`It goes to the recycle bin, its enrolment tokens with it. One that devices or projects still belong to is not deleted.`}
              remove={() => organizations.remove(organization.id)}
              onDone={() => void navigate({ to: "/$tenant/organizations", params: { tenant } })}
            />
          )}
        </>
      }
    >
      <Panel>
        <Facts
          items={[
            [t`Contact`, organization.contact_name],
            [t`Contact e-mail`, organization.contact_email && <Anchor href={`mailto:${organization.contact_email}`} inherit>{organization.contact_email}</Anchor>],
            [t`Website`, organization.website && <WebLink key="website" url={organization.website} />],
            [t`Address`, organization.slug && <span className="mono">{organization.slug}</span>],
            [t`Notes`, organization.notes],
            [t`Created`, <TimeAgo key="created" value={organization.created_at} />],
            [t`Changed`, <TimeAgo key="updated" value={organization.updated_at} />],
          ]}
        />
      </Panel>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Belonging kind="devices" organization={organization.id} />
        <Belonging kind="projects" organization={organization.id} />
      </SimpleGrid>
      <RecordHistory kind="organization" id={organization.id} />
    </Page>
  );
}

const SHOWN = 20;

/** What belongs to the organization, first rows only; the full lists are the pages narrowed by `?org=`. */
function Belonging({ kind, organization }: { kind: "devices" | "projects"; organization: string }) {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/organizations/$organization" });
  const search = { filter: equals("organization_id", organization), orderBy: "name asc", limit: SHOWN };
  const deviceQuery = useInfiniteQuery({ ...devices.list(search), enabled: kind === "devices" });
  const projectQuery = useInfiniteQuery({ ...projects.list(search), enabled: kind === "projects" });
  const query = kind === "devices" ? deviceQuery : projectQuery;
  const rows = kind === "devices" ? deviceQuery.data?.pages[0]?.data : projectQuery.data?.pages[0]?.data;
  const isDevices = kind === "devices";
  return (
    <Panel
      title={isDevices ? t`Devices` : t`Projects`}
      aside={
        <TextLink to={isDevices ? "/$tenant/devices" : "/$tenant/projects"} params={{ tenant }} search={{ org: organization }} className="target" inherit>
          <Trans>Show all</Trans>
        </TextLink>
      }
    >
      {query.isPending && <LoadingBlock height={80} />}
      {query.error && <Failure error={asApiError(query.error)} permission={`${kind}:read`} />}
      {rows?.length === 0 && (
        <Text size="sm" c="dimmed">
          {isDevices ? <Trans>No device belongs to it yet.</Trans> : <Trans>No project belongs to it yet.</Trans>}
        </Text>
      )}
      <ul className={classes.list}>
        {isDevices
          ? deviceQuery.data?.pages[0]?.data.map((d) => (
              <li key={d.id}>
                <Server size={15} aria-hidden />
                <TextLink to="/$tenant/devices/$device" params={{ tenant, device: d.id }} className="target" inherit>
                  {d.name}
                </TextLink>
                <DeviceStatus status={d.status} />
              </li>
            ))
          : projectQuery.data?.pages[0]?.data.map((p) => (
              <li key={p.id}>
                <Boxes size={15} aria-hidden />
                <TextLink to="/$tenant/projects/$project" params={{ tenant, project: p.id }} className="target" inherit>
                  {p.name}
                </TextLink>
              </li>
            ))}
      </ul>
    </Panel>
  );
}
