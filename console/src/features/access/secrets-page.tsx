import { useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { type QueryKey, useQueryClient } from "@tanstack/react-query";
import { Plus, Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import { FileTools } from "~/api/files/file-tools";
import { KINDS } from "~/api/kinds";
import { useCan } from "~/api/session";
import { ConfirmDelete } from "~/ui/confirm-delete";
import { type Column, DataTable, type TableQuery } from "~/ui/data-table";
import { FieldDialog } from "~/ui/field-dialog";
import type { Field } from "~/ui/fields";
import { Page } from "~/ui/page";
import { SecretDialog } from "~/ui/secret-dialog";
import { EmptyState } from "~/ui/states";
import type { TableView } from "~/ui/table-view";

interface Listed {
  id: string;
  name: string;
}

interface SecretsPageProps<R> {
  title: string;
  summary: string;
  kind: "api_key" | "enrollment_token";
  collection: { key: QueryKey; create(body: object): Promise<{ secret: string }>; remove(id: string): Promise<unknown> };
  query: TableQuery<R>;
  /** What the query leaves out. */
  filter: string | undefined;
  view: TableView;
  columns: readonly Column<R>[];
  filterExample: string;
  fields: readonly Field[];
  words: {
    /** On the button and over the form. */
    make: string;
    submit: string;
    made: string;
    deleted: string;
  };
  empty: { icon: ReactNode; title: string; text: ReactNode; command: string };
  /** A command that uses a secret just made. */
  example(secret: string): string;
}

type Open<R> = { kind: "making" } | { kind: "made"; secret: string } | { kind: "deleting"; row: R } | null;

/** Secrets of one kind: listed by name, made in a dialog, shown once, deleted by typed name. */
export function SecretsPage<R extends Listed>(props: SecretsPageProps<R>) {
  const { title, summary, kind, collection, query, filter, view, columns, filterExample, fields, words, empty, example } = props;
  const { t } = useLingui();
  const queries = useQueryClient();
  const { resource } = KINDS[kind];
  const canWrite = useCan(`${resource}:write`);
  const canDelete = useCan(`${resource}:delete`);
  const [open, setOpen] = useState<Open<R>>(null);
  const close = () => setOpen(null);
  const refresh = () => void queries.invalidateQueries({ queryKey: collection.key });
  const actions: Column<R> = {
    id: "actions",
    header: t`Actions`,
    hideHeader: true,
    numeric: true,
    cell: (row) =>
      canDelete && (
        <Tooltip label={t`Delete ${row.name}`}>
          <ActionIcon aria-label={t`Delete ${row.name}`} onClick={() => setOpen({ kind: "deleting", row })}>
            <Trash2 size={15} />
          </ActionIcon>
        </Tooltip>
      ),
  };
  const make = canWrite && (
    <Button leftSection={<Plus size={15} />} onClick={() => setOpen({ kind: "making" })}>
      {words.make}
    </Button>
  );
  return (
    <Page title={title} summary={summary} actions={make}>
      <DataTable
        label={title}
        query={query}
        columns={[...columns, actions]}
        rowKey={(row) => row.id}
        view={view}
        filterExample={filterExample}
        permission={`${resource}:read`}
        tools={<FileTools kind={kind} filter={filter} />}
        empty={
          <EmptyState icon={empty.icon} title={empty.title} action={make} command={empty.command}>
            {empty.text}
          </EmptyState>
        }
      />
      {open?.kind === "making" && (
        <FieldDialog
          title={words.make}
          submitLabel={words.submit}
          fields={fields}
          send={(values) => collection.create(values)}
          onClose={close}
          onDone={({ secret }) => {
            setOpen({ kind: "made", secret });
            refresh();
          }}
        />
      )}
      {open?.kind === "made" && <SecretDialog title={words.made} secret={open.secret} use={{ label: t`Command`, value: example(open.secret) }} onClose={close} />}
      {open?.kind === "deleting" && (
        <ConfirmDelete
          opened
          name={open.row.name}
          consequence={words.deleted}
          onClose={close}
          remove={() => collection.remove(open.row.id).then(() => undefined)}
          onDone={() => {
            close();
            refresh();
          }}
        />
      )}
    </Page>
  );
}
