import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { eventsQuery } from "~/api/events";
import { Subject } from "~/api/parties";
import { asApiError } from "~/lib/problem";
import { TextLink } from "~/ui/links";
import { Panel } from "~/ui/page";
import { Failure, LoadingBlock } from "~/ui/states";
import { TimeAgo } from "~/ui/time-ago";
import classes from "./overview.module.css";

const SHOWN = 10;

export function RecentEvents() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/" });
  const { data, isPending, error, refetch } = useInfiniteQuery(eventsQuery(undefined, SHOWN));
  const events = data?.pages[0]?.data ?? [];
  return (
    <Panel
      title={t`Recent activity`}
      aside={
        <TextLink to="/$tenant/activity" params={{ tenant }} className="target" inherit>
          <Trans>Show all</Trans>
        </TextLink>
      }
    >
      {isPending && <LoadingBlock height={160} />}
      {error && !data && <Failure error={asApiError(error)} onRetry={() => void refetch()} />}
      {data && events.length === 0 && (
        <Text size="sm" c="dimmed">
          <Trans>Nothing has happened yet.</Trans>
        </Text>
      )}
      <ol className={classes.events}>
        {events.slice(0, SHOWN).map((e) => (
          <li key={e.id}>
            <span className={classes.subject}>
              <Subject event={e} />
            </span>
            <span className={classes.type}>{e.type}</span>
            <TimeAgo value={e.time} />
          </li>
        ))}
      </ol>
    </Panel>
  );
}
