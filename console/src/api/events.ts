import { infiniteQueryOptions, type QueryClient } from "@tanstack/react-query";
import { allOf } from "~/lib/filter";
import { client, data } from "./client";
import type { RowOf } from "./json";
import type { paths } from "./schema";

export type Event = RowOf<paths["/api/v1/events"]["get"]["responses"][200]>;

interface EventPage {
  /** Newest first. */
  data: Event[];
  /** Where the next, older page ends; null at the first event. */
  before: number | null;
}

const PAGE = 50;
const LARGEST_PAGE = 500;
/** How far one page of a filtered list looks back, in requests. */
const MOST_LOOKS = 6;

interface Read {
  after: number;
  limit: number;
  filter: string | undefined;
}

async function read({ after, limit, filter }: Read, signal: AbortSignal) {
  return data(client.GET("/api/v1/events", { params: { query: { after, limit, filter } }, signal }));
}

/**
 * The newest position. The log is read oldest first, but positions are gapless: a filter that nothing passes is answered with
 * how far it looked, 20,000 events at a time, so the end is found without reading what is before it.
 */
async function findHead(from: number, signal: AbortSignal): Promise<number> {
  let position = from;
  for (;;) {
    const page = await read({ after: position, limit: 1, filter: "position < 0" }, signal);
    position = Number(page.next_cursor ?? position);
    if (!page.has_more) return position;
  }
}

/** The page that ends just before `before`. Without a filter it is exact; with one the look back widens until it finds enough. */
async function pageBefore(before: number, limit: number, filter: string | undefined, signal: AbortSignal): Promise<EventPage> {
  const found: Event[] = [];
  let end = before;
  let window = filter ? LARGEST_PAGE : limit;
  for (let look = 0; look < MOST_LOOKS && end > 1 && found.length < limit; look += 1) {
    const after = Math.max(end - 1 - window, 0);
    const slice: Event[] = [];
    for (let from = after; ; ) {
      const page = await read({ after: from, limit: Math.min(LARGEST_PAGE, end - 1 - from), filter: filter && allOf(filter, `position < ${end}`) }, signal);
      slice.push(...page.data);
      from = Number(page.next_cursor ?? end);
      if (!page.has_more || from >= end - 1) break;
    }
    found.push(...slice.toReversed());
    end = after + 1;
    window *= 2;
  }
  return { data: found, before: end > 1 ? end : null };
}

/** Newest first, whatever the filter. */
export function eventsQuery(queries: QueryClient, filter: string | undefined, limit = PAGE) {
  return infiniteQueryOptions({
    queryKey: ["events", filter, limit],
    queryFn: async ({ pageParam, signal }): Promise<EventPage> => {
      if (pageParam !== null) return pageBefore(pageParam, limit, filter, signal);
      const known = queries.getQueryData<number>(["event-head"]) ?? 0;
      const head = await findHead(known, signal);
      queries.setQueryData(["event-head"], head);
      return pageBefore(head + 1, limit, filter, signal);
    },
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.before,
  });
}
