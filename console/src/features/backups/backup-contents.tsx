import { useLingui } from "@lingui/react/macro";
import { Table } from "@mantine/core";
import type { HeldTenant } from "~/api/backups";
import { RecordLink } from "~/api/kinds";
import { formatBytes, formatNumber } from "~/lib/format";
import { Panel } from "~/ui/page";

/** Each tenant in a backup. */
export function BackupContents({ contents }: { contents: readonly HeldTenant[] }) {
  const { t, i18n } = useLingui();
  const number = (value: number) => formatNumber(value, i18n.locale);
  return (
    <Panel title={t`What is in it`} label={t`What is in it`}>
      <Table.ScrollContainer minWidth={280} scrollAreaProps={{ tabIndex: 0, "aria-label": t`What is in it` } as never}>
        <Table verticalSpacing="xs">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t`Tenant`}</Table.Th>
              <Table.Th ta="right">{t`Events`}</Table.Th>
              <Table.Th ta="right" visibleFrom="xs">{t`Files`}</Table.Th>
              <Table.Th ta="right" visibleFrom="xs">{t`Segments`}</Table.Th>
              <Table.Th ta="right">{t`Size`}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {contents.map((held) => (
              <Table.Tr key={held.id}>
                <Table.Td className="nowrap">
                  <RecordLink kind="tenant" record={held}>
                    {held.slug ?? <span className="mono">{held.id}</span>}
                  </RecordLink>
                </Table.Td>
                <Table.Td ta="right">{number(held.events)}</Table.Td>
                <Table.Td ta="right" visibleFrom="xs">{number(held.objects)}</Table.Td>
                <Table.Td ta="right" visibleFrom="xs">{number(held.segments)}</Table.Td>
                <Table.Td ta="right" className="nowrap">{formatBytes(held.bytes, i18n.locale)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Panel>
  );
}
