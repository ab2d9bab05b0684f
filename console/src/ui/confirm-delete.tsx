import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { asApiError } from "~/lib/problem";
import { ErrorCard } from "./states";

interface ConfirmDeleteProps {
  opened: boolean;
  onClose(): void;
  /** The record's name, which has to be typed. */
  name: string;
  /** What happens to what belongs to it. */
  consequence: string;
  remove(): Promise<void>;
  onDone(): void;
}

/** Deletion by typed name. */
export function ConfirmDelete({ opened, onClose, name, consequence, remove, onDone }: ConfirmDeleteProps) {
  const { t } = useLingui();
  const [typed, setTyped] = useState("");
  const deletion = useMutation({ mutationFn: remove, onSuccess: onDone });
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
