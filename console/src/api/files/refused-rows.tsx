import { useLingui } from "@lingui/react/macro";
import { Table } from "@mantine/core";
import type { ReactNode } from "react";
import { Panel } from "~/ui/page";
import classes from "./files.module.css";
import type { RowResult } from "./imports";

interface RefusedRowsProps {
  rows: readonly RowResult[];
  /** How many there are in all. */
  count: number;
  aside?: ReactNode;
}

/** The rows of a file that were refused, each with its reason. */
export function RefusedRows({ rows, count, aside }: RefusedRowsProps) {
  const { t } = useLingui();
  const came = rows.some((row) => row.source);
  return (
    <Panel title={t`Refused rows`} label={t`Refused rows`} aside={aside} flush>
      <div className={classes.scroll} role="region" tabIndex={0} aria-label={t`Rows and reasons`}>
        <Table fz="sm" verticalSpacing={6} horizontalSpacing="md">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t`Row`}</Table.Th>
              <Table.Th>{t`Reason`}</Table.Th>
              {came && <Table.Th>{t`As it came`}</Table.Th>}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map(({ row, problem, source }) => (
              <Table.Tr key={row}>
                <Table.Td className="nowrap">{row}</Table.Td>
                <Table.Td>{problem && <Reason problem={problem} />}</Table.Td>
                {came && <Table.Td className="mono">{source}</Table.Td>}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
      {rows.length < count && <p className={classes.more}>{t`The first ${rows.length} of ${count}.`}</p>}
    </Panel>
  );
}

function Reason({ problem: { detail, errors = [] } }: { problem: NonNullable<RowResult["problem"]> }) {
  if (errors.length === 0) return <>{detail}</>;
  return (
    <ul className={classes.reasons}>
      {errors.map((error) => (
        <li key={`${error.pointer}${error.code}`}>
          <span className="mono">{error.pointer.slice(1)}</span> {error.detail}
        </li>
      ))}
    </ul>
  );
}
