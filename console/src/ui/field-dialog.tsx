import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { blank, toValues } from "~/lib/field-values";
import type { Flat } from "~/lib/merge-patch";
import { asApiError } from "~/lib/problem";
import { type Field, FieldInputs, showFieldErrors, useFieldForm } from "./fields";
import { ErrorCard } from "./states";

interface FieldDialogProps<T> {
  title: string;
  /** What comes of it, where the title does not say so. */
  lead?: ReactNode;
  submitLabel: string;
  fields: readonly Field[];
  send(values: Flat): Promise<T>;
  onClose(): void;
  onDone(result: T): void;
}

/** A few fields and a button, over the page. */
export function FieldDialog<T>({ title, lead, submitLabel, fields, send, onClose, onDone }: FieldDialogProps<T>) {
  const { t } = useLingui();
  const form = useFieldForm(fields, blank(fields));
  const sending = useMutation({
    mutationFn: (texts: Record<string, string>) => send(toValues(fields, texts)),
    onSuccess: onDone,
    onError: (cause) => showFieldErrors(form, fields, asApiError(cause)),
  });
  return (
    <Modal opened onClose={onClose} title={title} closeButtonProps={{ "aria-label": t`Close` }}>
      <form onSubmit={form.onSubmit((texts) => sending.mutate(texts))} noValidate>
        <Stack gap="sm">
          {lead && (
            <Text size="sm" c="dimmed" component="div">
              {lead}
            </Text>
          )}
          <FieldInputs form={form} fields={fields} />
          {sending.error && <ErrorCard error={asApiError(sending.error)} compact />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              <Trans>Cancel</Trans>
            </Button>
            <Button type="submit" loading={sending.isPending}>
              {submitLabel}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
