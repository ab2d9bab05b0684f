import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { CodeLine } from "~/ui/copy";

interface SecretDialogProps {
  title: string;
  secret: string;
  /** A command that uses the secret. */
  command: string;
  onClose(): void;
}

/** A secret is shown once; a click beside the dialog must not lose it. */
export function SecretDialog({ title, secret, command, onClose }: SecretDialogProps) {
  const { t } = useLingui();
  return (
    <Modal opened onClose={onClose} title={title} size="lg" closeOnClickOutside={false} withCloseButton={false}>
      <Stack gap="sm">
        <Text size="sm">
          <Trans>Copy it now: it is stored only as a digest and cannot be shown again.</Trans>
        </Text>
        <CodeLine value={secret} label={t`Secret`} />
        <Text size="sm" c="dimmed">
          <Trans>How to use it</Trans>
        </Text>
        <CodeLine value={command} label={t`Command`} />
        <Group justify="flex-end">
          <Button onClick={onClose}>
            <Trans>I have copied it</Trans>
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
