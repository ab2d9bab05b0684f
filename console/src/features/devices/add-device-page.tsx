import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Loader, NativeSelect, Stack, Text } from "@mantine/core";
import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { CircleCheck } from "lucide-react";
import { useState } from "react";
import { OrganizationSelect } from "~/api/pickers";
import { devices, enrollmentTokens } from "~/api/resources";
import { useCan } from "~/api/session";
import { formatDateTime } from "~/lib/format";
import { asApiError } from "~/lib/problem";
import { CodeLine } from "~/ui/copy";
import { Fields } from "~/ui/fields";
import { ButtonLink, TextLink } from "~/ui/links";
import { useOrg } from "~/ui/org";
import { Page, Panel } from "~/ui/page";
import { Failure, NoPermission } from "~/ui/states";
import classes from "./devices.module.css";

const DAY_MS = 86_400_000;
const POLL_MS = 2000;

interface Issued {
  secret: string;
  since: string;
  expires: number;
}

/** One line to run on the machine, and a panel that turns green when it reports. */
export default function AddDevicePage() {
  const { t, i18n } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/devices/add" });
  const org = useOrg();
  const canAdd = useCan("enrollment-tokens:write");
  const [organization, setOrganization] = useState<string | null>(org ?? null);
  const [uses, setUses] = useState("1");
  const issue = useMutation({
    mutationFn: async (): Promise<Issued> => {
      const now = Date.now();
      const created = await enrollmentTokens.create({
        name: t`Add device, ${formatDateTime(now, i18n.locale)}`,
        organization_id: organization,
        max_uses: uses === "" ? null : Number(uses),
        expires_at: new Date(now + DAY_MS).toISOString(),
      });
      return { secret: created.secret, since: created.created_at, expires: now + DAY_MS };
    },
  });
  const command = issue.data ? `steward agent run --server ${window.location.origin} --token ${issue.data.secret} --state ./steward-agent` : "";
  return (
    <Page
      title={t`Add a device`}
      summary={t`The agent is the same program as the server: copy it to the machine and run one line.`}
      trail={
        <TextLink to="/$tenant/devices" params={{ tenant }} className="target" inherit>
          <Trans>Devices</Trans>
        </TextLink>
      }
      narrow
    >
      {!canAdd && <NoPermission permission="enrollment-tokens:write" />}
      {canAdd && !issue.data && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            issue.mutate();
          }}
        >
          <Stack gap="md">
            <Fields>
              <OrganizationSelect value={organization} onChange={setOrganization} description={t`Devices that enrol with the command belong to it.`} />
              <NativeSelect
                label={t`How many devices`}
                description={t`The command stops working after that many, and after a day.`}
                value={uses}
                onChange={(event) => setUses(event.currentTarget.value)}
                data={[
                  { value: "1", label: t`One` },
                  { value: "10", label: t`Up to 10` },
                  { value: "100", label: t`Up to 100` },
                  { value: "", label: t`Any number` },
                ]}
              />
            </Fields>
            {issue.error && <Failure error={asApiError(issue.error)} permission="enrollment-tokens:write" />}
            <div>
              <Button type="submit" loading={issue.isPending}>
                <Trans>Create the command</Trans>
              </Button>
            </div>
          </Stack>
        </form>
      )}
      {issue.data && (
        <>
          <Panel title={t`Run this on the machine`}>
            <CodeLine value={command} label={t`Command`} />
            <Text size="sm" c="dimmed" mt="xs">
              <Trans>It contains a token that is shown only now and works until {formatDateTime(issue.data.expires, i18n.locale)}.</Trans>
            </Text>
          </Panel>
          <Waiting since={issue.data.since} />
        </>
      )}
    </Page>
  );
}

/** Devices that enrolled after the token was made. */
function Waiting({ since }: { since: string }) {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/devices/add" });
  const query = useInfiniteQuery({ ...devices.list({ filter: `created_at >= "${since}"`, orderBy: "created_at asc", limit: 20 }), refetchInterval: POLL_MS });
  const found = query.data?.pages.flatMap((p) => p.data) ?? [];
  return (
    <Panel>
      <div className={classes.waiting} aria-live="polite" data-found={found.length > 0 || undefined}>
        {found.length === 0 ? (
          <>
            <Loader size="xs" aria-hidden />
            <span>
              <Trans>Waiting for the device to report…</Trans>
            </span>
          </>
        ) : (
          <>
            <CircleCheck size={18} aria-hidden />
            <span>{found.length === 1 ? t`The device is here.` : t`${found.length} devices are here.`}</span>
          </>
        )}
        {found.map((d) => (
          <ButtonLink key={d.id} to="/$tenant/devices/$device" params={{ tenant, device: d.id }} size="xs" variant="light">
            {d.name}
          </ButtonLink>
        ))}
      </div>
    </Panel>
  );
}
