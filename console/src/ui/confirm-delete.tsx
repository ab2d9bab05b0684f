import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { asApiError } from "~/lib/problem";
import { ErrorCard } from "./states";
import { toast } from "./toasts";

interface ConfirmDeleteProps {
  opened: boolean;
  onClose(): void;
  /** The record's name, which has to be typed. */
  name: string;
  /** What happens to what belongs to it. */
  consequence: string;
  remove: Remove;
  onDone(): void;
}

/** Deletes, and answers the way back if there is one. */
export type Remove = () => Promise<(() => Promise<void>) | undefined>;

/** Deletion by typed name. */
export function ConfirmDelete({ opened, onClose, name, consequence, remove, onDone }: ConfirmDeleteProps) {
  const { t } = useLingui();
  const [typed, setTyped] = useState("");
  const restore = async (undo: () => Promise<void>) => {
    try {
      await undo();
      toast(t`${name} is back`);
    } catch (error) {
      toast(t`${name} could not be brought back: ${asApiError(error).message}`, { failed: true });
    }
  };
  const deletion = useMutation({
    mutationFn: remove,
    onSuccess: (undo) => {
      toast(t`${name} was deleted`, undo && { action: { label: t`Undo`, run: () => void restore(undo) } });
      onDone();
    },
  });
  const close = () => {
    setTyped("");
    deletion.reset();
    onClose();
  };
  return (
    <Modal opened={opened} onClose={close} title={t`Delete ${name}?`} closeButtonProps={{ "aria-label": t`Close` }}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (typed === name) deletion.mutate();
        }}
      >
        <Stack gap="sm">
          <Text size="sm">{consequence}</Text>
          <TextInput
            data-autofocus
            label={t`Type ${name} to confirm`}
            value={typed}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => setTyped(event.currentTarget.value)}
          />
          {deletion.error && <ErrorCard error={asApiError(deletion.error)} compact />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={close}>
              <Trans>Cancel</Trans>
            </Button>
            <Button type="submit" color="red" disabled={typed !== name} loading={deletion.isPending}>
              <Trans>Delete</Trans>
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
