import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Menu, Skeleton, Table, Text, Tooltip, UnstyledButton } from "@mantine/core";
import { ArrowDown, ArrowUp, ChevronsUpDown, Columns3 } from "lucide-react";
import { type ReactNode, useRef } from "react";
import { asApiError } from "~/lib/problem";
import classes from "./data-table.module.css";
import { FilterInput, isFilterError } from "./filter-input";
import { useShortcut } from "./shortcuts";
import { Failure, NothingMatches } from "./states";
import type { TableView } from "./table-view";

export interface Column<Row> {
  id: string;
  header: string;
  /** The header is there for screen readers only, as for a column of buttons. */
  hideHeader?: boolean;
  cell(row: Row): ReactNode;
  /** Sorts by this field of the record; without it the column does not sort. */
  sortBy?: string;
  numeric?: boolean;
  /** Shown only when asked for in the column menu. */
  optional?: boolean;
  /** Hidden below 48em. */
  wide?: boolean;
}

/** The part of a TanStack infinite query that a table needs. */
export interface TableQuery<Row> {
  data: { pages: { data: Row[] }[] } | undefined;
  error: Error | null;
  isPending: boolean;
  /** The rows are still those of the question before. */
  isPlaceholderData: boolean;
  isFetching: boolean;
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  fetchNextPage(): unknown;
  refetch(): unknown;
}

interface DataTableProps<Row> {
  label: string;
  query: TableQuery<Row>;
  columns: readonly Column<Row>[];
  rowKey(row: Row): string;
  view: TableView;
  /** An example in the filter grammar; without it the table has no filter. */
  filterExample?: string;
  empty: ReactNode;
  permission?: string;
  tools?: ReactNode;
}

/**
 * The one table. Filter, sort and columns live in the URL; rows arrive page by page by cursor; `j` and `k` move between the rows'
 * first links, so Enter opens the row because it follows the link.
 */
export function DataTable<Row>(props: DataTableProps<Row>) {
  const { label, query, columns, rowKey, view, filterExample, empty, permission, tools } = props;
  const { t } = useLingui();
  const body = useRef<HTMLTableSectionElement>(null);
  useRowKeys(body);

  const error = query.error ? asApiError(query.error) : null;
  const rows = query.data?.pages.flatMap((p) => p.data) ?? [];
  const shown = columns.filter((c) => (view.columns ? view.columns.includes(c.id) : !c.optional));
  const failed = error !== null && !query.data && !isFilterError(error);
  // Rows of the question before stay until the new ones are there; that there were none says nothing about them.
  const waiting = query.isPending || (query.isPlaceholderData && rows.length === 0);
  const nothing = !waiting && !error && rows.length === 0;

  return (
    <div className={classes.root}>
      {(filterExample || tools) && (
        <div className={classes.bar}>
          {filterExample && (
            <FilterInput
              className={classes.filter ?? ""}
              label={t`Filter ${label}`}
              placeholder={filterExample}
              value={view.filter}
              onChange={view.setFilter}
              error={error}
            />
          )}
          {tools}
          {columns.some((c) => c.optional) && <ColumnMenu columns={columns} shown={shown} view={view} />}
        </div>
      )}
      {failed && (
        <div className={classes.state}>
          <Failure error={error} onRetry={() => query.refetch()} {...(permission ? { permission } : {})} />
        </div>
      )}
      {nothing && (view.filter ? <NothingMatches onClear={() => view.setFilter("")} /> : empty)}
      {!failed && !nothing && (
        <div className={classes.scroll} role="region" aria-label={label} tabIndex={0} aria-busy={query.isFetching}>
          <Table className={classes.table ?? ""} verticalSpacing={0} horizontalSpacing="sm" highlightOnHover>
            <Table.Thead>
              <Table.Tr>
                {shown.map((column) => (
                  <Header key={column.id} column={column} view={view} />
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody ref={body}>
              {waiting && <LoadingRows columns={shown} />}
              {rows.map((row) => (
                <Table.Tr key={rowKey(row)}>
                  {shown.map((column) => (
                    <Table.Td key={column.id} className={cellClass(column)}>
                      {column.cell(row)}
                    </Table.Td>
                  ))}
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
      {rows.length > 0 && (
        <div className={classes.foot}>
          <Text size="xs" c="dimmed" aria-live="polite">
            <Plural value={rows.length} one="# entry" other="# entries" />
            {query.hasNextPage && (
              <>
                {" · "}
                <Trans>more on the server</Trans>
              </>
            )}
          </Text>
          {query.hasNextPage && (
            <Button size="xs" variant="default" loading={query.isFetchingNextPage} onClick={() => query.fetchNextPage()}>
              <Trans>Load more</Trans>
            </Button>
          )}
        </div>
      )}
    </div>
  );
}

function cellClass<Row>(column: Column<Row>): string {
  return [column.numeric && classes.numeric, column.wide && classes.wide, column.hideHeader && classes.tight].filter(Boolean).join(" ");
}

function Header<Row>({ column, view }: { column: Column<Row>; view: TableView }) {
  const { t } = useLingui();
  const field = column.sortBy;
  if (!field) return <Table.Th className={cellClass(column)}>{column.hideHeader ? <span className="visually-hidden">{column.header}</span> : column.header}</Table.Th>;
  const active = view.sort?.field === field ? view.sort : null;
  const Arrow = active ? (active.descending ? ArrowDown : ArrowUp) : ChevronsUpDown;
  return (
    <Table.Th className={cellClass(column)} aria-sort={active ? (active.descending ? "descending" : "ascending") : "none"}>
      <UnstyledButton className={classes.sort ?? ""} data-active={active ? true : undefined} onClick={() => view.toggleSort(field)} aria-label={t`Sort by ${column.header}`}>
        {column.header}
        <Arrow size={13} aria-hidden />
      </UnstyledButton>
    </Table.Th>
  );
}

function LoadingRows<Row>({ columns }: { columns: readonly Column<Row>[] }) {
  return Array.from({ length: 6 }, (_, i) => (
    <Table.Tr key={i} aria-hidden>
      {columns.map((column) => (
        <Table.Td key={column.id} className={cellClass(column)}>
          <Skeleton height={10} width={`${45 + ((i * 17 + column.id.length * 13) % 45)}%`} radius="sm" />
        </Table.Td>
      ))}
    </Table.Tr>
  ));
}

function ColumnMenu<Row>({ columns, shown, view }: { columns: readonly Column<Row>[]; shown: readonly Column<Row>[]; view: TableView }) {
  const { t } = useLingui();
  const ids = shown.map((c) => c.id);
  const standard = columns.filter((c) => !c.optional).map((c) => c.id);
  const toggle = (id: string) => {
    const next = columns.map((c) => c.id).filter((c) => (c === id ? !ids.includes(c) : ids.includes(c)));
    if (next.length > 0) view.setColumns(next.join() === standard.join() ? null : next);
  };
  return (
    <Menu position="bottom-end" closeOnItemClick={false}>
      <Menu.Target>
        <Tooltip label={t`Columns`}>
          <ActionIcon variant="default" size={34} aria-label={t`Columns`}>
            <Columns3 size={16} />
          </ActionIcon>
        </Tooltip>
      </Menu.Target>
      <Menu.Dropdown>
        {columns.map((c) => (
          <Menu.CheckboxItem key={c.id} checked={ids.includes(c.id)} onChange={() => toggle(c.id)}>
            {c.header}
          </Menu.CheckboxItem>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function useRowKeys(body: React.RefObject<HTMLTableSectionElement | null>) {
  const { t } = useLingui();
  const move = (by: 1 | -1) => {
    const stops = [...(body.current?.rows ?? [])].map((row) => row.querySelector<HTMLElement>("a, button")).filter((e) => e !== null);
    const at = stops.findIndex((e) => e.closest("tr")?.contains(document.activeElement));
    const next = at < 0 ? (by > 0 ? 0 : stops.length - 1) : Math.min(Math.max(at + by, 0), stops.length - 1);
    stops[next]?.focus();
  };
  useShortcut({ keys: "j", label: t`Next row`, group: t`Lists`, run: () => move(1) });
  useShortcut({ keys: "k", label: t`Previous row`, group: t`Lists`, run: () => move(-1) });
}
