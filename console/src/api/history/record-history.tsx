import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { asApiError } from "~/lib/problem";
import { Panel } from "~/ui/page";
import { Failure, LoadingBlock } from "~/ui/states";
import { type Collected, COLLECTIONS } from "../collections";
import { permissionFor } from "../kinds";
import classes from "./history.module.css";
import { Happening } from "./happening";

/** What happened to one record: who changed which field from what to what, and when; the last change can be undone. */
export function RecordHistory({ kind, id }: { kind: Collected; id: string }) {
  const { t } = useLingui();
  const query = useInfiniteQuery(COLLECTIONS[kind].history(id));
  const events = query.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <Panel title={t`History`} label={t`History`}>
      {query.isPending && <LoadingBlock height={80} />}
      {query.error && !query.data && <Failure error={asApiError(query.error)} permission={permissionFor(kind, "read")} onRetry={() => void query.refetch()} />}
      <ol className={classes.events}>
        {events.map((event, i) => (
          <Happening key={event.id} kind={kind} event={event} isLast={i === 0} />
        ))}
      </ol>
      {query.hasNextPage && (
        <Button size="xs" variant="default" mt="sm" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          <Trans>Load more</Trans>
        </Button>
      )}
    </Panel>
  );
}
