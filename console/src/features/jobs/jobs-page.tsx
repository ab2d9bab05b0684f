import { Trans, useLingui } from "@lingui/react/macro";
import { NativeSelect } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Cog, ListChecks } from "lucide-react";
import { useJobTitle } from "~/api/job-titles";
import { type Job, jobsQuery, type JobState } from "~/api/jobs";
import { Actor } from "~/api/parties";
import { type Column, DataTable, type TableQuery } from "~/ui/data-table";
import { TextLink } from "~/ui/links";
import { Page } from "~/ui/page";
import { EmptyState } from "~/ui/states";
import { useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";
import { JobActions, JobBadge, Progress, useStateNames } from "./job-parts";

const STATES: readonly JobState[] = ["dead", "running", "queued", "done", "cancelled"];

/** Background work, with what waits for somebody first. */
export default function JobsPage() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/jobs" });
  const search = useSearch({ from: "/$tenant/jobs" });
  const navigate = useNavigate();
  const view = useTableView();
  const names = useStateNames();
  const jobTitle = useJobTitle();
  const state = STATES.find((name) => name === search.state);
  const query = useJobs(state);
  const columns: Column<Job>[] = [
    {
      id: "kind",
      header: t`Job`,
      cell: (job) => (
        <TextLink to="/$tenant/jobs/$job" params={{ tenant, job: job.id }} className="target nowrap" inherit fw={500}>
          {jobTitle(job.kind)}
        </TextLink>
      ),
    },
    { id: "state", header: t`State`, cell: (job) => <JobBadge job={job} /> },
    { id: "progress", header: t`Progress`, wide: true, cell: (job) => <Progress job={job} /> },
    { id: "error", header: t`Reason`, wide: true, cell: (job) => job.last_error ?? "–" },
    { id: "by", header: t`By`, wide: true, cell: (job) => <Actor id={job.created_by} /> },
    { id: "created", header: t`Queued`, cell: (job) => <TimeAgo value={job.created_at} /> },
    { id: "attempts", header: t`Attempts`, optional: true, numeric: true, cell: (job) => job.attempts },
    { id: "actions", header: t`Actions`, hideHeader: true, numeric: true, wide: true, cell: (job) => <JobActions job={job} compact /> },
  ];
  const choose = (
    <NativeSelect
      aria-label={t`State`}
      value={state ?? ""}
      data={[{ value: "", label: t`All, dead ones first` }, ...STATES.map((name) => ({ value: name, label: names[name] }))]}
      onChange={(event) => void navigate({ to: ".", search: { state: event.currentTarget.value || undefined } as never, replace: true })}
    />
  );
  return (
    <Page title={t`Jobs`} summary={t`Work in the background. A dead job has failed for good and waits for somebody to look at it.`}>
      <DataTable
        label={t`Jobs`}
        query={query}
        columns={columns}
        rowKey={(job) => job.id}
        view={view}
        permission="jobs:read"
        tools={choose}
        empty={
          <EmptyState
            icon={state ? <ListChecks size={26} /> : <Cog size={26} />}
            title={state === "dead" ? t`No dead jobs` : t`No jobs`}
            command={`curl -H "Authorization: Bearer $STEWARD_KEY" "${window.location.origin}/api/v1/jobs${state ? `?state=${state}` : ""}"`}
          >
            <Trans>Imports and whatever else takes longer than a request run as jobs. Those that are done can be looked at for a week, dead ones for ninety days.</Trans>
          </EmptyState>
        }
      />
    </Page>
  );
}

/** The jobs of one state; of all states, the dead ones before the rest. */
function useJobs(state: JobState | undefined): TableQuery<Job> {
  const jobs = useInfiniteQuery(jobsQuery(state));
  const dead = useInfiniteQuery({ ...jobsQuery("dead"), enabled: state === undefined });
  if (state || !jobs.data || !dead.data) return { ...jobs, isPending: jobs.isPending || (!state && dead.isPending) };
  const rest = jobs.data.pages.map((page) => ({ data: page.data.filter((job) => job.state !== "dead") }));
  return {
    ...jobs,
    data: { pages: [...dead.data.pages, ...rest] },
    hasNextPage: dead.hasNextPage || jobs.hasNextPage,
    fetchNextPage: () => (dead.hasNextPage ? dead.fetchNextPage() : jobs.fetchNextPage()),
    isFetchingNextPage: dead.isFetchingNextPage || jobs.isFetchingNextPage,
  };
}
