import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Badge, Button, Group, Modal, Stack, Textarea, TextInput, Tooltip } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { KeyRound, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { type ApiKey, apiKeys } from "~/api/resources";
import { useCan, useSession } from "~/api/session";
import { asApiError } from "~/lib/problem";
import { ConfirmDelete } from "~/ui/confirm-delete";
import { type Column, DataTable } from "~/ui/data-table";
import { Page } from "~/ui/page";
import { EmptyState, Failure } from "~/ui/states";
import { orderBy, useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";
import { Expiry, ExpirySelect, expiresAt } from "./expiry";
import { SecretDialog } from "./secret-dialog";

const SHOWN_PERMISSIONS = 3;

export default function ApiKeysPage() {
  const { t } = useLingui();
  const queries = useQueryClient();
  const view = useTableView();
  const { tenant } = useSession();
  const query = useInfiniteQuery(apiKeys.list({ filter: view.filter || undefined, orderBy: orderBy(view.sort) ?? "name asc" }));
  const canWrite = useCan("api-keys:write");
  const canDelete = useCan("api-keys:delete");
  const [creating, setCreating] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const [doomed, setDoomed] = useState<ApiKey | null>(null);
  const refresh = () => void queries.invalidateQueries({ queryKey: apiKeys.key });
  const columns: Column<ApiKey>[] = [
    { id: "name", header: t`Name`, sortBy: "name", cell: (k) => k.name },
    { id: "permissions", header: t`Permissions`, wide: true, cell: (k) => <Permissions of={k.permissions ?? []} /> },
    { id: "expires", header: t`Expires`, sortBy: "expires_at", cell: (k) => <Expiry at={k.expires_at} /> },
    { id: "created", header: t`Created`, wide: true, cell: (k) => <TimeAgo value={k.created_at} /> },
    { id: "id", header: t`Id`, optional: true, cell: (k) => <span className="mono">{k.id}</span> },
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
      <Trans>New API key</Trans>
    </Button>
  );
  return (
    <Page title={t`API keys`} summary={t`Credentials for programs. A key may do what it lists and never more than its maker.`} actions={canWrite ? create : null}>
      <DataTable
        label={t`API keys`}
        query={query}
        columns={columns}
        rowKey={(k) => k.id}
        view={view}
        filterExample={`name:"backup"`}
        permission="api-keys:read"
        empty={
          <EmptyState
            icon={<KeyRound size={26} />}
            title={t`No API keys yet`}
            action={canWrite ? create : null}
            command={`steward admin api-key --data ./steward-data --tenant ${tenant.slug} --permissions "logs:read,metrics:read"`}
          >
            <Trans>An API key lets a script or another system use the API of this tenant.</Trans>
          </EmptyState>
        }
      />
      {creating && (
        <NewKey
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
          title={t`Your new API key`}
          secret={secret}
          command={`curl -H "Authorization: Bearer ${secret}" ${window.location.origin}/api/v1/devices`}
          onClose={() => setSecret(null)}
        />
      )}
      {doomed && (
        <ConfirmDelete
          opened
          name={doomed.name}
          consequence={t`Whatever uses this key is refused from now on.`}
          onClose={() => setDoomed(null)}
          remove={() => apiKeys.remove(doomed.id)}
          onDone={() => {
            setDoomed(null);
            refresh();
          }}
        />
      )}
    </Page>
  );
}

function Permissions({ of }: { of: readonly string[] }) {
  const { t } = useLingui();
  const rest = of.length - SHOWN_PERMISSIONS;
  return (
    <Group gap={4}>
      {of.slice(0, SHOWN_PERMISSIONS).map((p) => (
        <Badge key={p} color="gray" className="mono">
          {p}
        </Badge>
      ))}
      {rest > 0 && (
        <Tooltip label={of.slice(SHOWN_PERMISSIONS).join(", ")}>
          <Badge color="gray">{t`+${rest}`}</Badge>
        </Tooltip>
      )}
    </Group>
  );
}

function NewKey({ onClose, onMade }: { onClose(): void; onMade(secret: string): void }) {
  const { t } = useLingui();
  const form = useForm({
    initialValues: { name: "", permissions: "devices:read\nlogs:read\nmetrics:read", days: "90" },
    validate: {
      name: (value) => (value.trim() ? null : t`This is needed.`),
      permissions: (value) => (split(value).length > 0 ? null : t`A key without permissions is of no use.`),
    },
  });
  const creation = useMutation({
    mutationFn: (values: { name: string; permissions: string; days: string }) =>
      apiKeys.create({ name: values.name, permissions: split(values.permissions), expires_at: expiresAt(values.days) }),
    onSuccess: (made) => onMade(made.secret),
  });
  return (
    <Modal opened onClose={onClose} title={t`New API key`} closeButtonProps={{ "aria-label": t`Close` }}>
      <form onSubmit={form.onSubmit((values) => creation.mutate(values))} noValidate>
        <Stack gap="sm">
          <TextInput data-autofocus required label={t`Name`} description={t`What it is for.`} {...form.getInputProps("name")} />
          <Textarea
            required
            label={t`Permissions`}
            description={t`One per line, as resource:verb. Verbs are read, write, delete, execute, approve or *.`}
            autosize
            minRows={3}
            spellCheck={false}
            classNames={{ input: "mono" }}
            {...form.getInputProps("permissions")}
          />
          <ExpirySelect value={form.values.days} onChange={(days) => form.setFieldValue("days", days)} />
          {creation.error && <Failure error={asApiError(creation.error)} permission="api-keys:write" />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              <Trans>Cancel</Trans>
            </Button>
            <Button type="submit" loading={creation.isPending}>
              <Trans>Create key</Trans>
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function split(text: string): string[] {
  return text.split(/[\s,]+/).filter((p) => p !== "");
}
