import { useLingui } from "@lingui/react/macro";
import { Anchor } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { failuresQuery, failuresUrl, type Imported } from "~/api/files/imports";
import { RefusedRows } from "~/api/files/refused-rows";
import { asApiError } from "~/lib/problem";
import { Failure, LoadingBlock } from "~/ui/states";

/** What an import's job refused so far, and all of it as a file. */
export function ImportFailures({ kind, job, count }: { kind: Imported; job: string; count: number }) {
  const { t } = useLingui();
  const query = useQuery({ ...failuresQuery(kind, job, count), placeholderData: keepPreviousData });
  if (count === 0) return null;
  if (query.error) return <Failure error={asApiError(query.error)} onRetry={() => void query.refetch()} />;
  if (!query.data) return <LoadingBlock height={120} />;
  const all = (
    <Anchor href={failuresUrl(kind, job)} download className="target" inherit>
      {t`Download all`}
    </Anchor>
  );
  return <RefusedRows rows={query.data} count={count} aside={all} />;
}
