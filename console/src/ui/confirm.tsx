import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { asApiError } from "~/lib/problem";
import { ErrorCard } from "./states";

interface ConfirmProps<T> {
  opened: boolean;
  onClose(): void;
  title: string;
  /** What will happen, and to what. */
  consequence: ReactNode;
  submitLabel: string;
  /** A name that has to be typed first, where there is no way back or a long one. */
  typed?: string;
  run(): Promise<T>;
  onDone(result: T): void;
}

/** Asks before something that stops or ends what others rely on. */
export function Confirm<T>({ opened, onClose, title, consequence, submitLabel, typed, run, onDone }: ConfirmProps<T>) {
  const { t } = useLingui();
  const [text, setText] = useState("");
  const action = useMutation({ mutationFn: run, onSuccess: onDone });
  const ready = typed === undefined || text === typed;
  const close = () => {
    setText("");
    action.reset();
    onClose();
  };
  return (
    <Modal opened={opened} onClose={close} title={title} closeButtonProps={{ "aria-label": t`Close` }}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) action.mutate();
        }}
      >
        <Stack gap="sm">
          <Text size="sm" component="div">
            {consequence}
          </Text>
          {typed !== undefined && (
            <TextInput
              data-autofocus
              label={t`Type ${typed} to confirm`}
              value={text}
              autoComplete="off"
              spellCheck={false}
              onChange={(event) => setText(event.currentTarget.value)}
            />
          )}
          {action.error && <ErrorCard error={asApiError(action.error)} compact />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={close}>
              <Trans>Cancel</Trans>
            </Button>
            <Button type="submit" color="red" disabled={!ready} loading={action.isPending}>
              {submitLabel}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
