import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Group, Modal, Stack, TextInput, Tooltip } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { Plus, Ticket, Trash2 } from "lucide-react";
import { useState } from "react";
import { OrganizationName } from "~/api/names";
import { OrganizationSelect } from "~/api/pickers";
import { type EnrollmentToken, enrollmentTokens } from "~/api/resources";
import { useCan, useSession } from "~/api/session";
import { allOf } from "~/lib/filter";
import { asApiError } from "~/lib/problem";
import { ConfirmDelete } from "~/ui/confirm-delete";
import { type Column, DataTable } from "~/ui/data-table";
import { useOrg, useOrgFilter } from "~/ui/org";
import { Page } from "~/ui/page";
import { EmptyState, Failure } from "~/ui/states";
import { orderBy, useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";
import { Expiry, ExpirySelect, expiresAt } from "./expiry";
import { SecretDialog } from "./secret-dialog";

export default function EnrollmentTokensPage() {
  const { t } = useLingui();
  const queries = useQueryClient();
  const view = useTableView();
  const { tenant } = useSession();
  const org = useOrgFilter();
  const query = useInfiniteQuery(enrollmentTokens.list({ filter: allOf(org, view.filter), orderBy: orderBy(view.sort) ?? "name asc" }));
  const canWrite = useCan("enrollment-tokens:write");
  const canDelete = useCan("enrollment-tokens:delete");
  const [creating, setCreating] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const [doomed, setDoomed] = useState<EnrollmentToken | null>(null);
  const refresh = () => void queries.invalidateQueries({ queryKey: enrollmentTokens.key });
  const columns: Column<EnrollmentToken>[] = [
    { id: "name", header: t`Name`, sortBy: "name", cell: (k) => k.name },
    { id: "organization", header: t`Organization`, wide: true, cell: (k) => <OrganizationName id={k.organization_id} /> },
    { id: "uses", header: t`Used`, numeric: true, cell: (k) => (k.max_uses ? `${k.uses ?? 0} / ${k.max_uses}` : (k.uses ?? 0)) },
    { id: "expires", header: t`Expires`, cell: (k) => <Expiry at={k.expires_at} /> },
    { id: "created", header: t`Created`, wide: true, cell: (k) => <TimeAgo value={k.created_at} /> },
    {
      id: "actions",
      header: t`Actions`,
      hideHeader: true,
      numeric: true,
      cell: (k) =>
        canDelete && (
          <Tooltip label={t`Delete ${k.name}`}>
            <ActionIcon aria-label={t`Delete ${k.name}`} onClick={() => setDoomed(k)}>
              <Trash2 size={15} />
            </ActionIcon>
          </Tooltip>
        ),
    },
  ];
  const create = (
    <Button leftSection={<Plus size={15} />} onClick={() => setCreating(true)}>
      <Trans>New token</Trans>
    </Button>
  );
  return (
    <Page title={t`Enrolment tokens`} summary={t`What an agent shows once to become a device of this tenant.`} actions={canWrite ? create : null}>
      <DataTable
        label={t`Enrolment tokens`}
        query={query}
        columns={columns}
        rowKey={(k) => k.id}
        view={view}
        filterExample={`name:"berlin"`}
        permission="enrollment-tokens:read"
        empty={
          <EmptyState
            icon={<Ticket size={26} />}
            title={t`No enrolment tokens`}
            action={canWrite ? create : null}
            command={`steward admin enroll-token --data ./steward-data --tenant ${tenant.slug}`}
          >
            <Trans>A token lets machines enrol themselves, up to a number of uses and a date.</Trans>
          </EmptyState>
        }
      />
      {creating && (
        <NewToken
          onClose={() => setCreating(false)}
          onMade={(made) => {
            setCreating(false);
            setSecret(made);
            refresh();
          }}
        />
      )}
      {secret && (
        <SecretDialog
          title={t`Your new enrolment token`}
          secret={secret}
          command={`steward agent run --server ${window.location.origin} --token ${secret} --state ./steward-agent`}
          onClose={() => setSecret(null)}
        />
      )}
      {doomed && (
        <ConfirmDelete
          opened
          name={doomed.name}
          consequence={t`No further device can enrol with it. Devices that did stay.`}
          onClose={() => setDoomed(null)}
          remove={() => enrollmentTokens.remove(doomed.id)}
          onDone={() => {
            setDoomed(null);
            refresh();
          }}
        />
      )}
    </Page>
  );
}

function NewToken({ onClose, onMade }: { onClose(): void; onMade(secret: string): void }) {
  const { t } = useLingui();
  const org = useOrg();
  const form = useForm({
    initialValues: { name: "", organization_id: org ?? "", max_uses: "", days: "30" },
    validate: {
      name: (value) => (value.trim() ? null : t`This is needed.`),
      max_uses: (value) => (value === "" || /^[1-9]\d{0,5}$/.test(value) ? null : t`A whole number, or nothing for any number.`),
    },
  });
  const creation = useMutation({
    mutationFn: (values: typeof form.values) =>
      enrollmentTokens.create({
        name: values.name,
        organization_id: values.organization_id || null,
        max_uses: values.max_uses === "" ? null : Number(values.max_uses),
        expires_at: expiresAt(values.days),
      }),
    onSuccess: (made) => onMade(made.secret),
  });
  return (
    <Modal opened onClose={onClose} title={t`New enrolment token`} closeButtonProps={{ "aria-label": t`Close` }}>
      <form onSubmit={form.onSubmit((values) => creation.mutate(values))} noValidate>
        <Stack gap="sm">
          <TextInput data-autofocus required label={t`Name`} description={t`Where it will be used.`} {...form.getInputProps("name")} />
          <OrganizationSelect {...form.getInputProps("organization_id")} onChange={(id) => form.setFieldValue("organization_id", id ?? "")} />
          <TextInput label={t`Uses`} description={t`Nothing for any number.`} inputMode="numeric" {...form.getInputProps("max_uses")} />
          <ExpirySelect value={form.values.days} onChange={(days) => form.setFieldValue("days", days)} />
          {creation.error && <Failure error={asApiError(creation.error)} permission="enrollment-tokens:write" />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              <Trans>Cancel</Trans>
            </Button>
            <Button type="submit" loading={creation.isPending}>
              <Trans>Create token</Trans>
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
