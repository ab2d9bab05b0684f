import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Modal, Radio, Stack, Table, Text } from "@mantine/core";
import { useState } from "react";
import type { FieldConflict, Flat } from "~/lib/merge-patch";

/** A save that came too late: the version stored now, what was to be saved, and every field that either side changed. */
export interface Clash {
  etag: string;
  fields: FieldConflict[];
  patch: Flat;
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
export function ConflictDialog({ clash, labels, onClose, onSave }: ConflictDialogProps) {
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
