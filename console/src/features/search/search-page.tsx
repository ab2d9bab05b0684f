import { Trans, useLingui } from "@lingui/react/macro";
import { Button, NativeSelect, Text } from "@mantine/core";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Search, SearchX } from "lucide-react";
import { KIND_NAMES, type KindName, KINDS, permissionFor, RecordLink, useKindNames } from "~/api/kinds";
import { byKind, type Hit, searchQuery } from "~/api/search";
import { useSession } from "~/api/session";
import { allows } from "~/lib/permissions";
import { asApiError } from "~/lib/problem";
import { FilterInput } from "~/ui/filter-input";
import { Page, Panel } from "~/ui/page";
import { EmptyState, Failure, LoadingBlock } from "~/ui/states";
import { TimeAgo } from "~/ui/time-ago";
import classes from "./search.module.css";

/** Everything that the words begin, by kind; words and kind are in the address. */
export default function SearchPage() {
  const { t } = useLingui();
  const search = useSearch({ from: "/$tenant/search" });
  const navigate = useNavigate();
  const { permissions } = useSession();
  const names = useKindNames();
  const words = search.q ?? "";
  // Members have no words of their own: their names are kept with the installation.
  const readable = KIND_NAMES.filter((kind) => kind !== "member" && allows(permissions, permissionFor(kind, "read")));
  const kind = readable.find((name) => name === search.kind);
  const set = (change: { q?: string | undefined; kind?: string | undefined }) =>
    void navigate({ to: ".", search: ((before: object) => ({ ...before, ...change })) as never, replace: true });
  return (
    <Page title={t`Search`} summary={t`Records of every kind that you may read, by the beginnings of their words.`}>
      <div className={classes.bar}>
        <FilterInput className={classes.words ?? ""} label={t`Words`} placeholder={t`Words, such as berlin printer`} icon={<Search size={15} aria-hidden />} value={words} onChange={(q) => set({ q: q || undefined })} />
        <NativeSelect
          aria-label={t`Kind`}
          value={kind ?? ""}
          data={[{ value: "", label: t`All kinds` }, ...readable.map((name) => ({ value: name, label: names[name] }))]}
          onChange={(event) => set({ kind: event.currentTarget.value || undefined })}
        />
      </div>
      {words ? <Results words={words} kind={kind} /> : <Unasked />}
    </Page>
  );
}

function Unasked() {
  const { t } = useLingui();
  return (
    <EmptyState
      icon={<Search size={26} />}
      title={t`What are you looking for?`}
      command={`curl -H "Authorization: Bearer $STEWARD_KEY" "${window.location.origin}/api/v1/search?q=berlin"`}
    >
      <Trans>Names, descriptions, contacts, host names and tags are looked through. A word is found by its beginning; of several words all must be there.</Trans>
    </EmptyState>
  );
}

function Results({ words, kind }: { words: string; kind: KindName | undefined }) {
  const { t } = useLingui();
  const names = useKindNames();
  const query = useInfiniteQuery({ ...searchQuery(words, kind), placeholderData: keepPreviousData });
  if (query.error) return <Failure error={asApiError(query.error)} onRetry={() => void query.refetch()} />;
  if (query.isPending) return <LoadingBlock height={240} />;
  const groups = byKind(query.data.pages.flatMap((page) => page.data));
  return (
    <>
      {groups.length === 0 && (
        <EmptyState icon={<SearchX size={26} />} title={t`Nothing found`}>
          <Trans>No record that you may read has words that begin like this. What was deleted is in the recycle bin.</Trans>
        </EmptyState>
      )}
      {groups.map(([name, hits]) => (
        <Panel key={name} title={names[name]} label={names[name]} aside={hits.length}>
          <ul className={classes.hits} aria-busy={query.isFetching}>
            {hits.map((hit) => (
              <Found key={hit.id} kind={name} hit={hit} />
            ))}
          </ul>
        </Panel>
      ))}
      {query.hasNextPage && (
        <div>
          <Button variant="default" size="xs" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            <Trans>Load more</Trans>
          </Button>
        </div>
      )}
    </>
  );
}

function Found({ kind, hit: { id, record } }: { kind: KindName; hit: Hit }) {
  const Icon = KINDS[kind].icon;
  const about = record.description ?? record.hostname ?? record.contact_name ?? record.notes;
  return (
    <li>
      <Icon size={15} aria-hidden />
      <span className={classes.what}>
        <RecordLink kind={kind} record={record} fw={500}>
          {record.name ?? id}
        </RecordLink>
        {about && (
          <Text size="sm" c="dimmed" lineClamp={1} component="span">
            {about}
          </Text>
        )}
      </span>
      <Text size="xs" c="dimmed" component="span">
        <TimeAgo value={record.updated_at} />
      </Text>
    </li>
  );
}
