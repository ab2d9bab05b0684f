import { Trans, useLingui } from "@lingui/react/macro";
import { Button, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { sagaQuery } from "~/api/sagas";
import { useCan } from "~/api/session";
import { importTenant } from "~/api/tenants";
import { asApiError } from "~/lib/problem";
import { ButtonLink, TextLink } from "~/ui/links";
import { Page, Panel } from "~/ui/page";
import { ErrorCard, Failure, LoadingBlock, NoPermission } from "~/ui/states";
import { SagaPanel } from "./saga-panel";
import { useSlugRule } from "./slug";

/** A tenant from a file that an export wrote, here or elsewhere. */
export default function ImportTenant() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/tenants/import" });
  const { saga } = useSearch({ from: "/$tenant/tenants/import" });
  const canWrite = useCan("tenants:write");
  return (
    <Page
      title={t`Take a tenant in`}
      summary={t`From a file that an export wrote. It arrives as it was, with its ids, its keys and its history.`}
      narrow
      trail={
        <TextLink to="/$tenant/tenants" params={{ tenant }} className="target" inherit>
          <Trans>Tenants</Trans>
        </TextLink>
      }
    >
      {!canWrite && <NoPermission permission="tenants:write" />}
      {canWrite && (saga ? <Taken saga={saga} /> : <Sending />)}
    </Page>
  );
}

function Sending() {
  const { t } = useLingui();
  const navigate = useNavigate();
  const slugRule = useSlugRule();
  const [file, setFile] = useState<File | null>(null);
  const [passphrase, setPassphrase] = useState("");
  const [slug, setSlug] = useState("");
  const wrong = slug === "" ? null : slugRule(slug);
  const sending = useMutation({
    mutationFn: (chosen: File) => importTenant(chosen, passphrase, slug || undefined),
    onSuccess: ({ saga, tenant: id }) => navigate({ to: ".", search: { saga, id } as never, replace: true }),
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (file && passphrase && !wrong) sending.mutate(file);
      }}
    >
      <Panel>
        <Stack gap="sm" align="stretch">
          <TextInput type="file" label={t`File`} accept=".steward-tenant" required onChange={(event) => setFile(event.currentTarget.files?.[0] ?? null)} />
          <PasswordInput
            label={t`Passphrase`}
            description={t`The one that the file was sealed with.`}
            autoComplete="off"
            required
            visibilityToggleButtonProps={{ "aria-label": t`Show or hide what is typed` }}
            value={passphrase}
            onChange={(event) => setPassphrase(event.currentTarget.value)}
          />
          <TextInput
            label={t`Another address`}
            description={t`Its own where this is empty.`}
            spellCheck={false}
            autoComplete="off"
            error={wrong}
            value={slug}
            onChange={(event) => setSlug(event.currentTarget.value)}
          />
          {sending.error && <ErrorCard error={asApiError(sending.error)} compact />}
          <div>
            <Button type="submit" disabled={!file || !passphrase || wrong !== null} loading={sending.isPending}>
              <Trans>Take in</Trans>
            </Button>
          </div>
          <Text size="xs" c="dimmed">
            <Trans>The file is read to its end before anything is written, so this may take a while. A large file goes in faster on the machine itself: steward admin tenant import.</Trans>
          </Text>
        </Stack>
      </Panel>
    </form>
  );
}

function Taken({ saga: id }: { saga: string }) {
  const { tenant } = useParams({ from: "/$tenant/tenants/import" });
  const { id: taken } = useSearch({ from: "/$tenant/tenants/import" });
  const { data: saga, error, refetch } = useQuery(sagaQuery(id));
  if (!saga) return error ? <Failure error={asApiError(error)} permission="sagas:read" onRetry={() => void refetch()} /> : <LoadingBlock />;
  return (
    <>
      <SagaPanel saga={saga} />
      {saga.state === "done" && taken && (
        <div>
          <ButtonLink to="/$tenant/tenants/$id" params={{ tenant, id: taken }}>
            <Trans>Open the tenant</Trans>
          </ButtonLink>
        </div>
      )}
      {saga.state === "undone" && (
        <div>
          <ButtonLink to="/$tenant/tenants/import" params={{ tenant }} search={{}} variant="default">
            <Trans>Try another file</Trans>
          </ButtonLink>
        </div>
      )}
    </>
  );
}
