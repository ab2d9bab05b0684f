import { infiniteQueryOptions } from "@tanstack/react-query";
import { client, data } from "./client";
import { type AnyRecord, KIND_NAMES, type KindName } from "./kinds";

/** What was found; besides its name the record may say what it is in one of several fields. */
export interface Hit {
  id: string;
  kind: string;
  record: AnyRecord & Partial<Record<"description" | "hostname" | "contact_name" | "notes" | "updated_at", string>>;
}

const PAGE = 50;

/** Records of all kinds, or of one, by the beginnings of their words; the newest first. */
export function searchQuery(words: string, kind?: KindName, limit = PAGE) {
  return infiniteQueryOptions({
    queryKey: ["search", words, kind, limit],
    queryFn: async ({ pageParam, signal }) => {
      const query = { q: words, limit, kinds: kind && [kind], cursor: pageParam ?? undefined };
      const page = await data(client.GET("/api/v1/search", { params: { query }, signal }));
      return page as Omit<typeof page, "data"> & { data: Hit[] };
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

/** The hits by kind, in the order in which kinds are told of; a kind that the console does not know is left out. */
export function byKind(hits: readonly Hit[]): [KindName, Hit[]][] {
  return KIND_NAMES.map((kind): [KindName, Hit[]] => [kind, hits.filter((hit) => hit.kind === kind)]).filter(([, some]) => some.length > 0);
}
