import { useNavigate, useSearch } from "@tanstack/react-router";
import { formatSort, nextSort, parseSort, type Sort } from "~/lib/search";

/** A table's state, which is the URL's: `?filter=…&sort=-name&cols=a,b`. */
export interface TableView {
  filter: string;
  sort: Sort | null;
  /** Visible columns by id; null means the table's own choice. */
  columns: readonly string[] | null;
  setFilter(filter: string): void;
  toggleSort(field: string): void;
  setColumns(columns: readonly string[] | null): void;
}

export const TABLE_KEYS = ["filter", "sort", "cols"] as const;

export function useTableView(): TableView {
  const search: Record<string, unknown> = useSearch({ strict: false });
  const navigate = useNavigate();
  const text = (key: string) => (typeof search[key] === "string" ? search[key] : "");
  const set = (change: Record<string, string | undefined>) =>
    void navigate({ to: ".", search: ((prev: object) => ({ ...prev, ...change })) as never, replace: true });
  const sort = parseSort(text("sort"));
  const columns = text("cols");
  return {
    filter: text("filter"),
    sort,
    columns: columns ? columns.split(",") : null,
    setFilter: (filter) => set({ filter: filter || undefined }),
    toggleSort: (field) => set({ sort: formatSort(nextSort(sort, field)) }),
    setColumns: (ids) => set({ cols: ids?.join(",") }),
  };
}

/** The list parameters a view stands for. */
export function orderBy(sort: Sort | null): string | undefined {
  return sort ? `${sort.field} ${sort.descending ? "desc" : "asc"}` : undefined;
}
