import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, NativeSelect, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { COLLECTIONS } from "~/api/collections";
import { type Import, importFile, IMPORTED, type Imported, MATCHED, type Report } from "~/api/files/imports";
import { RefusedRows } from "~/api/files/refused-rows";
import { KINDS, useKindNames } from "~/api/kinds";
import { useSession } from "~/api/session";
import { formatNumber } from "~/lib/format";
import { allows } from "~/lib/permissions";
import { asApiError } from "~/lib/problem";
import { Facts, Page, Panel } from "~/ui/page";
import { Failure, NoPermission } from "~/ui/states";
import classes from "./imports.module.css";

/** Records from a file: checked first, then taken in; a long file becomes a job that can be followed. */
export default function ImportPage() {
  const { t } = useLingui();
  const search = useSearch({ from: "/$tenant/import" });
  const navigate = useNavigate();
  const { permissions } = useSession();
  const names = useKindNames();
  const writable = IMPORTED.filter((kind) => allows(permissions, `${KINDS[kind].resource}:write`));
  const kind = writable.find((name) => name === search.of) ?? writable[0];
  return (
    <Page title={t`Import`} summary={t`Records from a table (CSV) or from lines of JSON (NDJSON), as an export writes them.`}>
      {kind ? (
        <Stack gap="md">
          <NativeSelect
            label={t`What the rows are`}
            maw={320}
            value={kind}
            data={writable.map((name) => ({ value: name, label: names[name] }))}
            onChange={(event) => void navigate({ to: ".", search: { of: event.currentTarget.value } as never, replace: true })}
          />
          <ImportFile key={kind} kind={kind} />
        </Stack>
      ) : (
        <NoPermission />
      )}
    </Page>
  );
}

function ImportFile({ kind }: { kind: Imported }) {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/import" });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [file, setFile] = useState<File | null>(null);
  const [match, setMatch] = useState("");
  const unique = MATCHED[kind];
  const sending = useMutation({
    mutationFn: importFile,
    onSuccess: async ({ job_id }) => {
      if (job_id) await navigate({ to: "/$tenant/jobs/$job", params: { tenant, job: job_id }, search: { of: kind } });
      else await queries.invalidateQueries({ queryKey: COLLECTIONS[kind].key });
    },
  });
  const send = (rehearsed: boolean) => file && sending.mutate({ kind, file, rehearsed, match: match || undefined } satisfies Import);
  const busy = (rehearsed: boolean) => sending.isPending && sending.variables.rehearsed === rehearsed;
  return (
    <>
      <Panel>
        <Stack gap="sm" align="flex-start">
          <TextInput
            type="file"
            className={classes.file ?? ""}
            label={t`File`}
            description={
              kind === "device" ? t`Rows change devices that are there, by their ids; new ones come by enrolment.` : t`A row with the id of a record changes it; any other makes a new one.`
            }
            accept=".csv,.ndjson,.jsonl,.json"
            onChange={(event) => {
              setFile(event.currentTarget.files?.[0] ?? null);
              sending.reset();
            }}
          />
          {unique && (
            <NativeSelect
              label={t`Rows name their records by`}
              value={match}
              data={[
                { value: "", label: t`Id` },
                { value: unique, label: unique },
              ]}
              onChange={(event) => setMatch(event.currentTarget.value)}
            />
          )}
          <Group gap="xs">
            <Button disabled={!file} loading={busy(false)} onClick={() => send(false)}>
              <Trans>Import</Trans>
            </Button>
            <Button variant="default" disabled={!file} loading={busy(true)} onClick={() => send(true)}>
              <Trans>Only check</Trans>
            </Button>
          </Group>
          <Text size="xs" c="dimmed">
            <Trans>A row that is refused harms no other. More than 1,000 rows become a job whose progress you can follow.</Trans>
          </Text>
        </Stack>
      </Panel>
      {sending.error && <Failure error={asApiError(sending.error)} permission={`${KINDS[kind].resource}:write`} />}
      {sending.data && !sending.data.job_id && <Outcome report={sending.data} rehearsed={sending.variables.rehearsed} />}
    </>
  );
}

function Outcome({ report: { progress, results = [] }, rehearsed }: { report: Report; rehearsed: boolean }) {
  const { t, i18n } = useLingui();
  const refused = results.filter((result) => result.outcome === "failed");
  return (
    <>
      <div role="status">
        <Panel title={rehearsed ? t`Checked; nothing was written` : t`Imported`}>
          <Facts
            items={[
              [t`Rows`, formatNumber(progress.rows, i18n.locale)],
              [t`Created`, formatNumber(progress.created, i18n.locale)],
              [t`Changed`, formatNumber(progress.updated, i18n.locale)],
              [t`Unchanged`, formatNumber(progress.unchanged, i18n.locale)],
              [t`Refused`, formatNumber(progress.failed, i18n.locale)],
            ]}
          />
        </Panel>
      </div>
      {refused.length > 0 && <RefusedRows rows={refused} count={progress.failed} />}
    </>
  );
}
