import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, NativeSelect, Tooltip } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { FileText, Pause, Play, Radio, RefreshCw } from "lucide-react";
import { useMemo, useState } from "react";
import { logsQuery } from "~/api/telemetry";
import { allOf } from "~/lib/filter";
import { asApiError } from "~/lib/problem";
import { resolveRange } from "~/lib/time-range";
import { FilterInput, isFilterError } from "~/ui/filter-input";
import { useRangeView } from "~/ui/range-view";
import { useShortcut } from "~/ui/shortcuts";
import { EmptyState, Failure, LoadingBlock, NothingMatches } from "~/ui/states";
import { TimeRangePicker } from "~/ui/time-range-picker";
import { Histogram } from "./histogram";
import { isLevel, type Level, LEVELS, levelFilter } from "./levels";
import { LogRows } from "./log-rows";
import classes from "./logs.module.css";
import type { TailEntry } from "./tail-store";
import { useTail } from "./use-tail";

interface LogExplorerProps {
  /** A filter that always applies: one device, one service, one organization. */
  scope: string | undefined;
  /** The attributes by which a sender says that its lines belong here. */
  marks?: Readonly<Record<string, string>>;
  compact?: boolean;
}

/** Query bar, histogram and lines; history and live tail share all three. Filter, level, range and live are in the URL. */
export function LogExplorer({ scope, marks, compact }: LogExplorerProps) {
  const { t, i18n } = useLingui();
  const search: Record<string, string | undefined> = useSearch({ strict: false });
  const navigate = useNavigate();
  const [range, setRange] = useRangeView();
  const [anchor, setAnchor] = useState(() => Date.now());
  const live = search.live === "1";
  const text = search.filter ?? "";
  const level: Level = isLevel(search.level) ? search.level : "";
  const filter = allOf(scope, levelFilter(level), text);
  const span = useMemo(() => resolveRange(range, anchor), [range, anchor]);

  const refresh = () => setAnchor(Date.now());
  // Every new question is asked up to the present moment.
  const set = (change: Record<string, string | undefined>) => {
    refresh();
    void navigate({ to: ".", search: ((prev: object) => ({ ...prev, ...change })) as never, replace: true });
  };
  const setFilter = (next: string) => set({ filter: next || undefined });
  const addCondition = (condition: string) => setFilter(allOf(text, condition) ?? "");
  const toggleLive = () => set({ live: live ? undefined : "1" });
  const select = (from: number, to: number) => {
    if (live) set({ live: undefined });
    setRange({ kind: "absolute", from, to });
  };
  useShortcut({ keys: "l", label: t`Live tail on or off`, group: t`Logs`, run: toggleLive });

  const history = useInfiniteQuery({ ...logsQuery(span, filter), enabled: !live, placeholderData: keepPreviousData });
  const tail = useTail(filter, live);
  const past = useMemo(
    () => history.data?.pages.flatMap((p) => p.data).map((row): TailEntry => ({ kind: "row", key: row.id, row })) ?? [],
    [history.data],
  );
  // Newest first, as in history.
  const current = useMemo(() => tail.entries.toReversed(), [tail.entries]);

  // Lines of the question before stay until the new ones are there.
  const waiting = history.isPending || (history.isPlaceholderData && past.length === 0);
  const failure = live ? tail.error : history.error ? asApiError(history.error) : null;
  const entries = live ? current : past;
  const failed = failure !== null && !isFilterError(failure) && entries.length === 0;
  return (
    <section className={classes.root} aria-label={t`Log lines`}>
      <div className={classes.bar}>
        <FilterInput className={classes.filter ?? ""} label={t`Filter log lines`} placeholder={`timeout AND service = "api"`} value={text} onChange={setFilter} error={failure} />
        <NativeSelect
          aria-label={t`Minimum level`}
          value={level}
          onChange={(event) => set({ level: event.currentTarget.value || undefined })}
          data={Object.entries(LEVELS).map(([value, label]) => ({ value, label: i18n._(label) }))}
        />
        {!live && <TimeRangePicker
            value={range}
            onChange={(next) => {
              refresh();
              setRange(next);
            }}
          />}
        {!live && range.kind === "relative" && (
          <Tooltip label={t`Refresh`}>
            <ActionIcon variant="default" size={34} aria-label={t`Refresh`} onClick={refresh}>
              <RefreshCw size={15} />
            </ActionIcon>
          </Tooltip>
        )}
        {live && (
          <Button variant="default" leftSection={tail.paused ? <Play size={14} /> : <Pause size={14} />} onClick={() => (tail.paused ? tail.store.resume() : tail.store.pause())}>
            {tail.paused ? <Trans>Resume</Trans> : <Trans>Pause</Trans>}
          </Button>
        )}
        <Button variant={live ? "filled" : "default"} aria-pressed={live} leftSection={<Radio size={15} />} onClick={toggleLive}>
          <Trans>Live</Trans>
        </Button>
      </div>
      <Histogram range={range} anchor={anchor} filter={filter} live={live} onSelect={select} />
      {failed && (
        <div className={classes.state}>
          <Failure error={failure} permission="logs:read" onRetry={refresh} />
        </div>
      )}
      {!live && waiting && <LoadingBlock height={300} />}
      {!live && history.data && !waiting && past.length === 0 && <NoLines marks={marks ?? {}} filtered={text !== "" || level !== ""} onClear={() => set({ filter: undefined, level: undefined })} />}
      {(live || past.length > 0) && !failed && (
        <LogRows
          entries={entries}
          compact={compact ?? false}
          scope={scope}
          onCondition={addCondition}
          tail={live ? { state: tail.state, waiting: tail.waiting, paused: tail.paused, pause: () => tail.store.pause(), resume: () => tail.store.resume() } : null}
          more={!live && history.hasNextPage ? { loading: history.isFetchingNextPage, load: () => void history.fetchNextPage() } : null}
        />
      )}
    </section>
  );
}

interface NoLinesProps {
  marks: Readonly<Record<string, string>>;
  filtered: boolean;
  onClear(): void;
}

function NoLines({ marks, filtered, onClear }: NoLinesProps) {
  const { t } = useLingui();
  if (filtered) return <NothingMatches onClear={onClear} />;
  const sample = JSON.stringify({ message: "hello", level: "info", service: "demo", ...marks });
  const mark = Object.keys(marks)[0];
  const line = `echo '${sample}' | curl -H "Authorization: Bearer $STEWARD_KEY" -H "Content-Type: application/x-ndjson" --data-binary @- ${window.location.origin}/ingest/v1/demo`;
  return (
    <EmptyState icon={<FileText size={26} />} title={t`No lines in this time`} command={line}>
      {mark ? (
        <Trans>
          Here are the lines that carry the attribute <code className="mono">{mark}</code>, as JSON lines or OpenTelemetry resource attribute. Choose a longer time range, or send one.
        </Trans>
      ) : (
        <Trans>Agents send the logs of their machines by themselves; anything else can send JSON lines or OpenTelemetry. Choose a longer time range, or send a line.</Trans>
      )}
    </EmptyState>
  );
}
