import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { CodeLine } from "./copy";

interface SecretDialogProps {
  title: string;
  secret: string;
  /** What holds for it besides that it is shown once. */
  note?: ReactNode;
  /** A command or a link that uses the secret. */
  use: { label: string; value: string };
  onClose(): void;
}

/** A secret is shown once; a click beside the dialog must not lose it. */
export function SecretDialog({ title, secret, note, use, onClose }: SecretDialogProps) {
  const { t } = useLingui();
  return (
    <Modal opened onClose={onClose} title={title} size="lg" closeOnClickOutside={false} withCloseButton={false}>
      <Stack gap="sm">
        <Text size="sm">
          <Trans>Copy it now: it is stored only as a digest and cannot be shown again.</Trans>
        </Text>
        <CodeLine value={secret} label={t`Secret`} />
        {note && (
          <Text size="sm" component="div">
            {note}
          </Text>
        )}
        <Text size="sm" c="dimmed">
          <Trans>How to use it</Trans>
        </Text>
        <CodeLine value={use.value} label={use.label} />
        <Group justify="flex-end">
          <Button onClick={onClose}>
            <Trans>I have copied it</Trans>
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
