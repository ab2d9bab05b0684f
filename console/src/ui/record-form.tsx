import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useBlocker } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { asTyped, blank, toTexts, toValues } from "~/lib/field-values";
import { type Flat, conflicts, mergePatch } from "~/lib/merge-patch";
import { asApiError } from "~/lib/problem";
import { type Clash, ConflictDialog } from "./conflict-dialog";
import { type Field, FieldInputs, Fields, showFieldErrors, useFieldForm } from "./fields";
import { ErrorCard } from "./states";
import { toast } from "./toasts";

export interface Stored {
  record: object;
  etag: string;
}

interface RecordFormProps {
  fields: readonly Field[];
  submitLabel: string;
  onCancel(): void;
  save: Creating | Editing;
}

interface Creating {
  kind: "create";
  create(values: Flat): Promise<void>;
}

interface Editing {
  kind: "edit";
  /** Frozen at mount, as the cache may move on behind the form. */
  stored: Stored;
  update(etag: string, patch: Flat): Promise<void>;
  /** The record as it is now. */
  reload(): Promise<Stored>;
}

type Change = { etag: string; patch: Flat } | { values: Flat };

/** Create and edit in one: merge patches with If-Match, the server's field errors at their fields, and a diff when the record moved on. */
export function RecordForm({ fields, submitLabel, onCancel, save }: RecordFormProps) {
  const { t } = useLingui();
  const [began] = useState(() => (save.kind === "edit" ? { base: asTyped(fields, { ...save.stored.record }), etag: save.stored.etag } : { base: {}, etag: "" }));
  const [clash, setClash] = useState<Clash | null>(null);
  const leaving = useRef(false);
  const form = useFieldForm(fields, save.kind === "edit" ? toTexts(fields, began.base) : blank(fields));
  useBlocker({
    shouldBlockFn: () => !leaving.current && form.isDirty() && !window.confirm(t`Leave without saving your changes?`),
    enableBeforeUnload: () => !leaving.current && form.isDirty(),
  });
  const leave = () => {
    leaving.current = true;
    onCancel();
  };

  const submission = useMutation({
    mutationFn: async (change: Change) => {
      leaving.current = true;
      if ("values" in change && save.kind === "create") await save.create(change.values);
      if ("patch" in change && save.kind === "edit") await save.update(change.etag, change.patch);
    },
    onSuccess: () => toast(t`Saved`),
    onError: async (cause, change) => {
      leaving.current = false;
      const error = asApiError(cause);
      showFieldErrors(form, fields, error);
      if (error.status !== 412 || save.kind !== "edit" || !("patch" in change)) return;
      const now = await save.reload();
      const only = (record: Flat) => Object.fromEntries(fields.map((f) => [f.name, record[f.name]]));
      setClash({ etag: now.etag, patch: change.patch, fields: conflicts(only(began.base), only(asTyped(fields, { ...now.record })), change.patch) });
    },
  });

  const submit = (texts: Record<string, string>) => {
    const values = toValues(fields, texts);
    if (save.kind === "create") {
      submission.mutate({ values: Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null)) });
      return;
    }
    const patch = mergePatch(began.base, values);
    if (Object.keys(patch).length === 0) leave();
    else submission.mutate({ etag: began.etag, patch });
  };

  return (
    <form onSubmit={(event) => form.onSubmit(submit)(event)} noValidate>
      <Stack gap="md">
        {submission.error && !clash && <ErrorCard error={asApiError(submission.error)} compact />}
        <Fields>
          <FieldInputs form={form} fields={fields} />
        </Fields>
        <Group gap="xs">
          <Button type="submit" loading={submission.isPending}>
            {submitLabel}
          </Button>
          <Button variant="default" onClick={leave}>
            <Trans>Cancel</Trans>
          </Button>
        </Group>
      </Stack>
      {clash && (
        <ConflictDialog
          clash={clash}
          labels={Object.fromEntries(fields.map((f) => [f.name, f.label]))}
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
