import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Modal, Radio, Stack, Table, Text } from "@mantine/core";
import { useForm, type UseFormReturnType } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useBlocker } from "@tanstack/react-router";
import { type ReactNode, useRef, useState } from "react";
import { type FieldConflict, type Flat, conflicts, mergePatch } from "~/lib/merge-patch";
import { type ApiError, asApiError } from "~/lib/problem";
import { ErrorCard } from "./states";
import { toast } from "./toasts";

type Values = Record<string, string>;

export interface RecordFormProps<V extends Values> {
  /** The form's values as they stand in the stored record; all text, as inputs hold text. */
  initial: V;
  validate?: { [K in keyof V]?: (value: string) => string | null };
  /** Form values as the record's fields. */
  toFields(values: V): Flat;
  fieldLabels: Record<string, string>;
  submitLabel: string;
  onCancel(): void;
  children(form: UseFormReturnType<V>): ReactNode;
  save: Creating | Editing;
  /** Needed for editing: the record and its version tag. Frozen at mount, as the cache may move on behind the form. */
  tagged?: { record: object; etag: string };
}

interface Creating {
  kind: "create";
  create(fields: Flat): Promise<void>;
}

interface Editing {
  kind: "edit";
  update(etag: string, patch: Flat): Promise<void>;
  /** The record as it is now. */
  reload(): Promise<{ record: object; etag: string }>;
}

interface Clash {
  etag: string;
  fields: FieldConflict[];
  patch: Flat;
}

/** Create and edit in one: merge patches with If-Match, the server's field errors at their fields, and a diff when the record moved on. */
export function RecordForm<V extends Values>({ initial, validate, toFields, fieldLabels, submitLabel, onCancel, children, save, tagged }: RecordFormProps<V>) {
  const { t } = useLingui();
  const [began] = useState(() => ({ base: { ...tagged?.record } as Flat, etag: tagged?.etag ?? "" }));
  const [clash, setClash] = useState<Clash | null>(null);
  const leaving = useRef(false);
  const form = useForm<V>({ initialValues: initial, ...(validate ? { validate: validate as never } : {}), validateInputOnBlur: true });
  useBlocker({
    shouldBlockFn: () => !leaving.current && form.isDirty() && !window.confirm(t`Leave without saving your changes?`),
    enableBeforeUnload: () => !leaving.current && form.isDirty(),
  });

  const showFieldErrors = (error: ApiError) => {
    for (const key of Object.keys(initial)) {
      const message = error.forField(key);
      if (message) form.setFieldError(key, message);
    }
  };
  const done = () => {
    leaving.current = true;
    toast(t`Saved`);
  };

  const submission = useMutation({
    mutationFn: async (change: { etag: string; patch: Flat } | { fields: Flat }) => {
      leaving.current = true;
      if ("fields" in change) {
        if (save.kind === "create") await save.create(change.fields);
        return;
      }
      if (save.kind === "edit") await save.update(change.etag, change.patch);
    },
    onSuccess: done,
    onError: async (cause, change) => {
      leaving.current = false;
      const error = asApiError(cause);
      showFieldErrors(error);
      if (error.status === 412 && save.kind === "edit" && "patch" in change) {
        const now = await save.reload();
        const known = Object.fromEntries(Object.keys(fieldLabels).map((k) => [k, began.base[k]]));
        setClash({ etag: now.etag, patch: change.patch, fields: conflicts(known, { ...now.record }, change.patch).filter((f) => f.field in fieldLabels) });
      }
    },
  });

  const submit = form.onSubmit((values) => {
    const fields = toFields(values);
    if (save.kind === "create") {
      submission.mutate({ fields: Object.fromEntries(Object.entries(fields).filter(([, v]) => v !== null && v !== "" && v !== undefined)) });
      return;
    }
    const patch = mergePatch(began.base, fields);
    if (Object.keys(patch).length === 0) onCancel();
    else submission.mutate({ etag: began.etag, patch });
  });

  const error = submission.error && !clash ? asApiError(submission.error) : null;
  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="md">
        {error && <ErrorCard error={error} compact />}
        {children(form)}
        <Group gap="xs">
          <Button type="submit" loading={submission.isPending}>
            {submitLabel}
          </Button>
          <Button
            variant="default"
            onClick={() => {
              leaving.current = true;
              onCancel();
            }}
          >
            <Trans>Cancel</Trans>
          </Button>
        </Group>
      </Stack>
      {clash && (
        <ConflictDialog
          clash={clash}
          labels={fieldLabels}
          onClose={() => setClash(null)}
          onSave={(patch) => {
            setClash(null);
            submission.mutate({ etag: clash.etag, patch });
          }}
        />
      )}
    </form>
  );
}

function show(value: unknown): string {
  if (value === null || value === undefined || value === "") return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}

interface ConflictDialogProps {
  clash: Clash;
  labels: Record<string, string>;
  onClose(): void;
  onSave(patch: Flat): void;
}

/** Somebody saved first: what they changed beside what you changed, and a choice where both touched a field. */
function ConflictDialog({ clash, labels, onClose, onSave }: ConflictDialogProps) {
  const { t } = useLingui();
  const [takeTheirs, setTakeTheirs] = useState<readonly string[]>([]);
  const save = () => onSave(Object.fromEntries(Object.entries(clash.patch).filter(([field]) => !takeTheirs.includes(field))));
  return (
    <Modal opened onClose={onClose} title={t`Somebody else saved first`} size="lg" closeButtonProps={{ "aria-label": t`Close` }}>
      <Stack gap="sm">
        <Text size="sm">
          <Trans>The record changed while you were editing. Choose what to keep where both of you changed a field; everything else is kept from both.</Trans>
        </Text>
        <Table.ScrollContainer minWidth={460} scrollAreaProps={{ tabIndex: 0, "aria-label": t`Differences` } as never}>
          <Table verticalSpacing="xs">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>
                  <Trans>Field</Trans>
                </Table.Th>
                <Table.Th>
                  <Trans>Stored now</Trans>
                </Table.Th>
                <Table.Th>
                  <Trans>Yours</Trans>
                </Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {clash.fields.map((f) => {
                const label = labels[f.field] ?? f.field;
                const choose = (theirs: boolean) => setTakeTheirs((prev) => (theirs ? [...prev, f.field] : prev.filter((x) => x !== f.field)));
                return (
                  <Table.Tr key={f.field}>
                    <Table.Td fw={500}>{label}</Table.Td>
                    <Table.Td>
                      {f.clash ? (
                        <Radio size="sm" name={f.field} label={show(f.theirs)} checked={takeTheirs.includes(f.field)} onChange={() => choose(true)} />
                      ) : (
                        show(f.theirs)
                      )}
                    </Table.Td>
                    <Table.Td>
                      {f.clash ? (
                        <Radio size="sm" name={f.field} label={show(f.mine)} checked={!takeTheirs.includes(f.field)} onChange={() => choose(false)} />
                      ) : (
                        show(f.mine)
                      )}
                    </Table.Td>
                  </Table.Tr>
                );
              })}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            <Trans>Back to the form</Trans>
          </Button>
          <Button onClick={save}>
            <Trans>Save</Trans>
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
