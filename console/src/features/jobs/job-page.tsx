import { Trans, useLingui } from "@lingui/react/macro";
import { Alert } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams, useSearch } from "@tanstack/react-router";
import { CircleAlert } from "lucide-react";
import { useEffect } from "react";
import { IMPORTED } from "~/api/files/imports";
import { useJobTitle } from "~/api/job-titles";
import { followJob, isOver, type Job, jobQuery } from "~/api/jobs";
import { Actor } from "~/api/parties";
import { formatBytes, formatNumber } from "~/lib/format";
import { readProgress } from "~/lib/job-progress";
import { TextLink } from "~/ui/links";
import { Facts, Page, Panel } from "~/ui/page";
import { Loaded } from "~/ui/record-tools";
import { TimeAgo } from "~/ui/time-ago";
import { ImportFailures } from "./import-failures";
import { JobActions, JobBadge, Progress } from "./job-parts";

export default function JobPage() {
  const { t } = useLingui();
  const { job } = useParams({ from: "/$tenant/jobs/$job" });
  return (
    <Loaded query={useQuery(jobQuery(job))} title={t`Job`} permission="jobs:read">
      {(found) => <JobDetails job={found} />}
    </Loaded>
  );
}

function JobDetails({ job }: { job: Job }) {
  const { t, i18n } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/jobs/$job" });
  const queries = useQueryClient();
  const jobTitle = useJobTitle();
  const over = isOver(job);
  useEffect(() => (over ? undefined : followJob(queries, job.id)), [queries, job.id, over]);
  const words: Record<string, string> = {
    rows: t`Rows`, created: t`Created`, updated: t`Changed`, unchanged: t`Unchanged`, failed: t`Refused`, erased: t`Erased`, records: t`Records`, events: t`Events`,
    tenants: t`Tenants`,
    parts: t`Parts`,
    objects: t`Files`,
    segments: t`Segments`,
    bytes: t`Size`,
    removed: t`Removed`,
  };
  const { of } = useSearch({ from: "/$tenant/jobs/$job" });
  const kind = IMPORTED.find((name) => name === of);
  const { share, counts } = readProgress(job.progress);
  return (
    <Page
      title={jobTitle(job.kind)}
      aside={<JobBadge job={job} />}
      trail={
        <TextLink to="/$tenant/jobs" params={{ tenant }} className="target" inherit>
          <Trans>Jobs</Trans>
        </TextLink>
      }
      actions={<JobActions job={job} />}
    >
      {job.last_error && job.state !== "done" && (
        <Alert color={job.state === "dead" ? "red" : "yellow"} icon={<CircleAlert size={18} />} title={job.state === "dead" ? t`Why it is dead` : t`Why the last attempt failed`}>
          {job.last_error}
        </Alert>
      )}
      {(share !== null || counts.length > 0) && (
        <Panel title={t`Progress`} label={t`Progress`} aside={share !== null && <Progress job={job} />}>
          <Facts items={counts.map(([name, count]) => [words[name] ?? name, name === "bytes" ? formatBytes(count, i18n.locale) : formatNumber(count, i18n.locale)])} />
        </Panel>
      )}
      <Panel>
        <Facts
          items={[
            [t`Queued`, <TimeAgo key="created" value={job.created_at} />],
            [t`By`, <Actor key="by" id={job.created_by} />],
            [t`Attempts`, job.attempts],
            [t`Finished`, job.finished_at && <TimeAgo key="finished" value={job.finished_at} />],
            [t`Id`, <span key="id" className="mono">{job.id}</span>],
          ]}
        />
      </Panel>
      {kind && <ImportFailures kind={kind} job={job.id} count={counts.find(([name]) => name === "failed")?.[1] ?? 0} />}
    </Page>
  );
}
