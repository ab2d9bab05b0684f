import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Modal, Group, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { formatDateTime } from "~/lib/format";
import { FieldDialog } from "~/ui/field-dialog";
import { SecretDialog } from "~/ui/secret-dialog";
import { type Code, makePasswordCode } from "./people";

/** Makes a code with which a person sets a password: it goes to their address, or is shown once. */
export function PasswordCode({ email = "", onClose }: { email?: string; onClose(): void }) {
  const { t, i18n } = useLingui();
  const [made, setMade] = useState<{ email: string; code: Code } | null>(null);
  if (!made) {
    return (
      <FieldDialog
        title={t`Make a password code`}
        lead={<Trans>With the code a person sets a new password, once and within a day. Earlier codes of theirs end now; their password holds until they set another one.</Trans>}
        submitLabel={t`Make code`}
        fields={[{ name: "email", label: t`E-mail`, kind: "email", initial: email, required: true }]}
        send={async (values) => ({ email: values.email as string, code: await makePasswordCode(values.email as string) })}
        onClose={onClose}
        onDone={setMade}
      />
    );
  }
  const { email: whose, code } = made;
  const until = formatDateTime(Date.parse(code.expires_at), i18n.locale);
  if (!code.code) {
    return (
      <Modal opened onClose={onClose} title={t`The code is on its way`} closeButtonProps={{ "aria-label": t`Close` }}>
        <Stack gap="sm">
          <Text size="sm">
            <Trans>
              It was sent to {whose} and is good once, until {until}.
            </Trans>
          </Text>
          <Group justify="flex-end">
            <Button onClick={onClose}>
              <Trans>Done</Trans>
            </Button>
          </Group>
        </Stack>
      </Modal>
    );
  }
  return (
    <SecretDialog
      title={t`Password code for ${whose}`}
      secret={code.code}
      note={
        <Trans>
          It is good once, until {until}. Give it to {whose} in a way that nobody else can read: whoever has it can sign in as them.
        </Trans>
      }
      use={{ label: t`Link`, value: `${window.location.origin}/console/sign-in/code#${code.code}` }}
      onClose={onClose}
    />
  );
}
