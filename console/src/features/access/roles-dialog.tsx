import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Checkbox, Group, Modal, Stack } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { setRoles } from "~/api/people/people";
import { useRoles } from "~/api/people/roles";
import { type Member, members } from "~/api/resources";
import { sessionQuery } from "~/api/session";
import { asApiError } from "~/lib/problem";
import { ErrorCard } from "~/ui/states";
import { toast } from "~/ui/toasts";

/** Gives a member other roles. Which of them one may give, the server says. */
export function RolesDialog({ member, name, onClose }: { member: Member; name: string; onClose(): void }) {
  const { t } = useLingui();
  const queries = useQueryClient();
  const known = useRoles();
  const [roles, choose] = useState<string[]>(member.roles);
  const saving = useMutation({
    mutationFn: () => setRoles(member.id, roles),
    onSuccess: async () => {
      toast(t`Saved`);
      onClose();
      await queries.invalidateQueries({ queryKey: members.key });
      // They may have been one's own.
      await queries.invalidateQueries({ queryKey: sessionQuery.queryKey });
    },
  });
  return (
    <Modal opened onClose={onClose} title={t`Roles of ${name}`} closeButtonProps={{ "aria-label": t`Close` }}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          saving.mutate();
        }}
      >
        <Stack gap="sm">
          <Checkbox.Group aria-label={t`Roles`} value={roles} onChange={choose}>
            <Stack gap="xs">
              {known.map((role) => (
                <Checkbox key={role.name} value={role.name} label={role.label} description={role.purpose} />
              ))}
            </Stack>
          </Checkbox.Group>
          {saving.error && <ErrorCard error={asApiError(saving.error)} compact />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              <Trans>Cancel</Trans>
            </Button>
            <Button type="submit" disabled={roles.length === 0} loading={saving.isPending}>
              <Trans>Save</Trans>
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
