import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { devices, services } from "~/api/resources";
import { fetchHistogram } from "~/api/telemetry";
import { allOf } from "~/lib/filter";
import { useOrgFilter } from "~/ui/org";

const MOST = 500;
const HOUR_MS = 3_600_000;
const REFRESH_MS = 15_000;

/** Devices of the chosen organization, at most one page of the largest size. */
export function useDevices() {
  const org = useOrgFilter();
  const query = useInfiniteQuery({ ...devices.list({ filter: org, orderBy: "name asc", limit: MOST }), refetchInterval: REFRESH_MS });
  const page = query.data?.pages[0];
  return { ...query, rows: page?.data ?? [], more: page?.has_more ?? false };
}

/** Services whose health asks for a look. */
export function useAilingServices() {
  const query = useInfiniteQuery({
    ...services.list({ filter: `health = "critical" OR health = "warning"`, limit: MOST }),
    refetchInterval: REFRESH_MS,
  });
  return { ...query, rows: query.data?.pages[0]?.data ?? [] };
}

/** Lines of the last hour by level. */
export function useLogCounts() {
  const org = useOrgFilter();
  return useQuery({
    queryKey: ["logs", "overview", org],
    queryFn: async ({ signal }) => {
      const now = Date.now();
      const { buckets } = await fetchHistogram({ from: now - HOUR_MS, to: now }, allOf(org), signal);
      const sum = (levels?: string[]) =>
        buckets.reduce((total, b) => total + Object.entries(b.counts).reduce((n, [level, count]) => (!levels || levels.includes(level) ? n + count : n), 0), 0);
      return { total: sum(), errors: sum(["error", "critical"]) };
    },
    refetchInterval: REFRESH_MS,
  });
}
