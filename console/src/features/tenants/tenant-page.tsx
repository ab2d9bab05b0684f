import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Landmark, UserPlus } from "lucide-react";
import { useState } from "react";
import { RecordHistory } from "~/api/history/record-history";
import { AddPerson } from "~/api/people/add-person";
import { PasswordCode } from "~/api/people/password-code";
import { type Tenant, tenants } from "~/api/resources";
import { isUnfinished, type Saga, sagasQuery } from "~/api/sagas";
import { OPERATOR, useCan } from "~/api/session";
import { placeQuery } from "~/api/tenants";
import { useNow } from "~/ui/clock";
import { ButtonLink, TextLink } from "~/ui/links";
import { Facts, Page, Panel } from "~/ui/page";
import { Loaded } from "~/ui/record-tools";
import { EmptyState } from "~/ui/states";
import { TimeAgo } from "~/ui/time-ago";
import { SagaPanel } from "./saga-panel";
import { TenantActions } from "./tenant-actions";
import { TenantStatus } from "./tenant-status";

const TOLD_MS = 86_400_000;

export default function TenantPage() {
  const { t } = useLingui();
  const { id } = useParams({ from: "/$tenant/tenants/$id" });
  return (
    <Loaded query={useQuery(tenants.get(id))} title={t`Tenant`} permission="tenants:read">
      {({ record }) => <TenantDetails key={record.id} of={record} />}
    </Loaded>
  );
}

function TenantDetails({ of }: { of: Tenant }) {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/tenants/$id" });
  const canSeeSagas = useCan("sagas:read");
  const { data: sagas = [] } = useQuery({ ...sagasQuery([of.id, of.slug]), enabled: canSeeSagas });
  const place = useQuery(placeQuery(of.id));
  const now = useNow();
  const trail = (
    <TextLink to="/$tenant/tenants" params={{ tenant }} className="target" inherit>
      <Trans>Tenants</Trans>
    </TextLink>
  );
  // What was erased may have been taken in again since.
  const isErased = ({ saga, state, created_at }: Saga) => saga === "delete_tenant" && state === "done" && created_at > of.created_at;
  if (sagas.some(isErased)) return <Erased name={of.name} trail={trail} />;
  const own = of.slug === OPERATOR;
  return (
    <Page
      title={of.name}
      summary={own ? t`Where the installation itself is looked after. It cannot be suspended, moved, exported or erased.` : undefined}
      aside={<TenantStatus status={of.status} />}
      trail={trail}
      actions={!own && (of.status === "active" || of.status === "suspended") && <OpenActions of={of} place={place.data?.place} />}
    >
      {sagas.filter((saga) => isTold(saga, now)).map((saga) => (
        <SagaPanel key={saga.id} saga={saga} />
      ))}
      <Panel>
        <Facts
          items={[
            [t`Address`, <span key="slug" className="mono">{of.slug}</span>],
            [t`Place`, place.error ? t`A place that the settings no longer name` : place.data?.place],
            [t`Created`, <TimeAgo key="created" value={of.created_at} />],
            [t`Changed`, <TimeAgo key="updated" value={of.updated_at} />],
            [t`Id`, <span key="id" className="mono">{of.id}</span>],
          ]}
        />
      </Panel>
      <RecordHistory kind="tenant" id={of.id} />
    </Page>
  );
}

/** What goes on or is stuck, and for a day what came of it; that a tenant was made in good order shows. */
function isTold(saga: Saga, now: number): boolean {
  if (isUnfinished(saga) || saga.state === "parked") return true;
  const made = saga.saga === "create_tenant" && saga.state === "done";
  return !made && now - Date.parse(saga.finished_at ?? saga.updated_at) < TOLD_MS;
}

function OpenActions({ of, place }: { of: Tenant; place: string | undefined }) {
  const { t } = useLingui();
  const queries = useQueryClient();
  const canWrite = useCan("tenants:write");
  const [adding, setAdding] = useState(false);
  const [added, setAdded] = useState<string | null>(null);
  return (
    <>
      {canWrite && of.status === "active" && (
        <Button variant="default" leftSection={<UserPlus size={15} />} onClick={() => setAdding(true)}>
          <Trans>Add a person</Trans>
        </Button>
      )}
      <TenantActions of={of} place={place} onBegun={() => void Promise.all([tenants.key, ["sagas"]].map((queryKey) => queries.invalidateQueries({ queryKey })))} />
      {adding && (
        <AddPerson
          title={t`Add a person to ${of.name}`}
          tenant={of.id}
          role="owner"
          onClose={() => setAdding(false)}
          onAdded={(email) => {
            setAdding(false);
            setAdded(email);
          }}
        />
      )}
      {added !== null && <PasswordCode email={added} onClose={() => setAdded(null)} />}
    </>
  );
}

function Erased({ name, trail }: { name: string; trail: React.ReactNode }) {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/tenants/$id" });
  return (
    <Page title={name} trail={trail}>
      <EmptyState
        icon={<Landmark size={26} />}
        title={t`${name} is erased`}
        action={
          <ButtonLink to="/$tenant/tenants" params={{ tenant }} variant="default">
            <Trans>All tenants</Trans>
          </ButtonLink>
        }
      >
        <Trans>Nothing of it is left here. Backups that were made before still hold it for as long as they are kept.</Trans>
      </EmptyState>
    </Page>
  );
}
