import { queryOptions } from "@tanstack/react-query";
import { data, loose } from "../client";
import type { Json } from "../json";
import { KINDS } from "../kinds";
import type { paths } from "../schema";

/** The kinds whose records can come from a file. */
export const IMPORTED = ["project", "service", "device", "organization"] as const;
export type Imported = (typeof IMPORTED)[number];

/** The unique field by which rows may name their records, where a kind has one that people know. */
export const MATCHED: Partial<Record<Imported, string>> = { organization: "slug" };

type Operation = paths["/api/v1/projects/import"]["post"];
export type Report = Json<Operation["responses"][200]>;
export type RowResult = NonNullable<Report["results"]>[number];

const SHOWN = 200;

export interface Import {
  kind: Imported;
  file: File;
  /** Everything is checked and nothing is written. */
  rehearsed: boolean;
  /** The unique field by which rows name their records; their ids without it. */
  match?: string | undefined;
}

/** Sends a file: a table when its name says so, lines of JSON otherwise. A long one is left to a job, which the answer names. */
export async function importFile({ kind, file, rehearsed, match }: Import): Promise<Report> {
  const headers = { "content-type": /\.csv$/i.test(file.name) ? "text/csv" : "application/x-ndjson" };
  const query = { dry_run: rehearsed || undefined, match };
  return (await data(loose.POST(`/api/v1/${KINDS[kind].resource}/import`, { params: { query }, headers, body: file, bodySerializer: (body: File) => body }))) as Report;
}

export function failuresUrl(kind: Imported, job: string): string {
  return `/api/v1/${KINDS[kind].resource}/imports/${job}/failures`;
}

/** The first rows that an import's job refused; `count` of them by now. */
export function failuresQuery(kind: Imported, job: string, count: number) {
  return queryOptions({
    queryKey: ["imports", kind, job, count],
    queryFn: async ({ signal }) => {
      const text = (await data(loose.GET(failuresUrl(kind, job), { parseAs: "text", signal }))) as string;
      return text.split("\n", SHOWN).filter((line) => line !== "").map((line) => JSON.parse(line) as RowResult);
    },
    enabled: count > 0,
  });
}
