import { Trans, useLingui } from "@lingui/react/macro";
import { Alert } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { CircleAlert } from "lucide-react";
import { useEffect } from "react";
import { BACKUPS } from "~/api/backups";
import { useJobTitle } from "~/api/job-titles";
import { followJob, isOver, type Job, jobQuery, lastJobQuery } from "~/api/jobs";
import { useCan } from "~/api/session";
import { formatBytes, formatPercent } from "~/lib/format";
import { readProgress } from "~/lib/job-progress";
import { TextLink } from "~/ui/links";
import { Panel } from "~/ui/page";
import { ProgressBar } from "~/ui/progress-bar";
import { TimeAgo } from "~/ui/time-ago";

const KINDS = ["back_up", "verify_backup"] as const;

/** The backup that is being made or read, followed live, and the last one that failed. */
export function BackupJobs() {
  const canRead = useCan("jobs:read");
  return canRead && KINDS.map((kind) => <LastJob key={kind} kind={kind} />);
}

function LastJob({ kind }: { kind: string }) {
  const { t } = useLingui();
  const { tenant } = useParams({ strict: false }) as { tenant: string };
  const title = useJobTitle()(kind);
  const queries = useQueryClient();
  const { data: job } = useQuery(lastJobQuery(kind));
  const ended = job && isOver(job) ? job.finished_at : null;
  useEffect(() => {
    if (ended) void queries.invalidateQueries({ queryKey: BACKUPS });
  }, [queries, ended]);
  if (!job) return null;
  const link = (
    <TextLink to="/$tenant/jobs/$job" params={{ tenant, job: job.id }} className="target" inherit>
      <Trans>Show the job</Trans>
    </TextLink>
  );
  if (!isOver(job)) return <Running key={job.id} first={job} title={title} link={link} />;
  if (job.state !== "dead") return null;
  return (
    <Alert color="red" icon={<CircleAlert size={18} />} title={t`${title}: failed`}>
      {job.last_error} <TimeAgo value={job.finished_at} /> · {link}
    </Alert>
  );
}

function Running({ first, title, link }: { first: Job; title: string; link: React.ReactNode }) {
  const { t, i18n } = useLingui();
  const queries = useQueryClient();
  const { data: job = first } = useQuery({ ...jobQuery(first.id), initialData: first });
  const over = isOver(job);
  useEffect(() => (over ? undefined : followJob(queries, first.id)), [queries, first.id, over]);
  useEffect(() => {
    if (over) void queries.invalidateQueries({ queryKey: ["jobs"] });
  }, [queries, over]);
  const { share, counts } = readProgress(job.progress);
  const bytes = counts.find(([name]) => name === "bytes")?.[1];
  return (
    <Panel
      title={title}
      label={title}
      aside={
        <>
          {bytes !== undefined && formatBytes(bytes, i18n.locale)}
          {link}
        </>
      }
    >
      <ProgressBar share={share ?? 0} label={t`Progress`} text={job.state === "queued" ? t`Waits for its turn` : formatPercent(share ?? 0, i18n.locale)} />
    </Panel>
  );
}
