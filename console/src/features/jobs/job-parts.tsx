import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Ban, CircleAlert, CircleCheck, CirclePlay, Clock, RotateCcw } from "lucide-react";
import { cancelJob, isOver, type Job, jobQuery, type JobState, redriveJob } from "~/api/jobs";
import { useCan } from "~/api/session";
import { readProgress } from "~/lib/job-progress";
import { formatPercent } from "~/lib/format";
import { asApiError } from "~/lib/problem";
import { ProgressBar } from "~/ui/progress-bar";
import { StatusBadge } from "~/ui/status";
import { toast } from "~/ui/toasts";

export function useStateNames(): Record<JobState, string> {
  const { t } = useLingui();
  return { dead: t`Dead`, running: t`Running`, queued: t`Queued`, done: t`Done`, cancelled: t`Cancelled` };
}

export function JobBadge({ job }: { job: Job }) {
  const { t } = useLingui();
  const names = useStateNames();
  if (job.state === "dead") return <StatusBadge tone="red" icon={<CircleAlert size={13} />}>{names.dead}</StatusBadge>;
  if (job.state === "done") return <StatusBadge tone="green" icon={<CircleCheck size={13} />}>{names.done}</StatusBadge>;
  if (job.state === "cancelled") return <StatusBadge tone="gray" icon={<Ban size={13} />}>{names.cancelled}</StatusBadge>;
  if (job.cancel_requested) return <StatusBadge tone="yellow" icon={<Ban size={13} />}>{t`Stopping`}</StatusBadge>;
  if (job.state === "running") return <StatusBadge tone="blue" icon={<CirclePlay size={13} />}>{names.running}</StatusBadge>;
  return <StatusBadge tone="gray" icon={<Clock size={13} />}>{names.queued}</StatusBadge>;
}

/** How far a job is, where it has said so. */
export function Progress({ job }: { job: Job }) {
  const { t, i18n } = useLingui();
  const { share } = readProgress(job.progress);
  if (share === null) return <>–</>;
  return <ProgressBar share={share} label={t`Progress`} text={formatPercent(share, i18n.locale)} />;
}

/** Calls a job off, or queues one again that ended without its effect. */
export function JobActions({ job, compact }: { job: Job; compact?: boolean }) {
  const { t } = useLingui();
  const queries = useQueryClient();
  const canExecute = useCan("jobs:execute");
  const keep = async (changed: Job) => {
    queries.setQueryData(jobQuery(changed.id).queryKey, changed);
    await queries.invalidateQueries({ queryKey: ["jobs", "list"] });
  };
  const fail = (error: Error) => toast(asApiError(error).message, { failed: true });
  const cancelling = useMutation({ mutationFn: () => cancelJob(job.id), onSuccess: keep, onError: fail });
  const redriving = useMutation({
    mutationFn: () => redriveJob(job.id),
    onSuccess: async (changed) => {
      toast(t`The job is queued again`);
      await keep(changed);
    },
    onError: fail,
  });
  if (!canExecute) return null;
  const size = compact ? "compact-sm" : "sm";
  if (!isOver(job))
    return (
      <Button size={size} variant="default" leftSection={compact ? undefined : <Ban size={15} />} disabled={job.cancel_requested} loading={cancelling.isPending} onClick={() => cancelling.mutate()}>
        <Trans>Call off</Trans>
      </Button>
    );
  if (job.state === "done") return null;
  return (
    <Button size={size} variant="default" leftSection={compact ? undefined : <RotateCcw size={15} />} loading={redriving.isPending} onClick={() => redriving.mutate()}>
      <Trans>Queue again</Trans>
    </Button>
  );
}
