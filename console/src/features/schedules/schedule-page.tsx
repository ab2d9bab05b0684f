import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { CirclePause, CirclePlay, Pencil } from "lucide-react";
import { RecordHistory } from "~/api/history/record-history";
import { useJobTitle } from "~/api/job-titles";
import { type Schedule, schedules, type Tagged } from "~/api/resources";
import { useCan } from "~/api/session";
import { asApiError } from "~/lib/problem";
import { ALL, BACK_UP, BIN, payloadText, SOME } from "~/lib/schedule-payload";
import { ButtonLink, TextLink } from "~/ui/links";
import { Facts, Page, Panel } from "~/ui/page";
import { DeleteButton, Loaded } from "~/ui/record-tools";
import { ScheduleStatus } from "~/ui/status";
import { TimeAgo } from "~/ui/time-ago";
import { toast } from "~/ui/toasts";
import { When } from "~/ui/when";

export default function SchedulePage() {
  const { t } = useLingui();
  const { schedule } = useParams({ from: "/$tenant/schedules/$schedule" });
  return (
    <Loaded query={useQuery(schedules.get(schedule))} title={t`Schedule`} permission="schedules:read">
      {(stored) => <ScheduleDetails stored={stored} />}
    </Loaded>
  );
}

function ScheduleDetails({ stored }: { stored: Tagged<Schedule> }) {
  const { t } = useLingui();
  const { record: schedule } = stored;
  const { tenant } = useParams({ from: "/$tenant/schedules/$schedule" });
  const navigate = useNavigate();
  const jobTitle = useJobTitle();
  const canWrite = useCan("schedules:write");
  const canDelete = useCan("schedules:delete");
  const misfires: Record<string, string> = { once: t`Made up for once`, skip: t`Skipped`, all: t`Made up for each, up to 100` };
  const kept: Record<string, string> = { [SOME]: t`Many new ones, fewer old ones`, [ALL]: t`All of them` };
  const days = (schedule.payload as { older_than_days?: number } | undefined)?.older_than_days;
  return (
    <Page
      title={schedule.name}
      aside={<ScheduleStatus enabled={schedule.enabled} />}
      trail={
        <TextLink to="/$tenant/schedules" params={{ tenant }} className="target" inherit>
          <Trans>Schedules</Trans>
        </TextLink>
      }
      actions={
        <>
          <ButtonLink to="/$tenant/jobs" params={{ tenant }} variant="default">
            <Trans>Jobs</Trans>
          </ButtonLink>
          {canWrite && <TurnButton stored={stored} />}
          {canWrite && (
            <ButtonLink to="/$tenant/schedules/$schedule/edit" params={{ tenant, schedule: schedule.id }} variant="default" leftSection={<Pencil size={15} />}>
              <Trans>Edit</Trans>
            </ButtonLink>
          )}
          {canDelete && (
            <DeleteButton
              name={schedule.name}
              consequence={t`It starts no job any more. What it has queued already still runs. To have it again, make a new one.`}
              remove={() => schedules.remove(schedule.id).then(() => undefined)}
              onDone={() => void navigate({ to: "/$tenant/schedules", params: { tenant } })}
            />
          )}
        </>
      }
    >
      <Panel>
        <Facts
          items={[
            [t`Job`, jobTitle(schedule.job)],
            ...(schedule.job === BACK_UP ? [[t`Backups that stay`, kept[payloadText(BACK_UP, schedule.payload)] ?? <span key="keep" className="mono">{JSON.stringify(schedule.payload)}</span>] as const] : []),
            ...(schedule.job === BIN ? [[t`Days in the recycle bin`, days] as const] : []),
            [t`When`, <When key="when" cron={schedule.cron} />],
            [t`Expression`, <span key="cron" className="mono">{schedule.cron}</span>],
            [t`Time zone`, schedule.time_zone],
            [t`Missed times`, misfires[schedule.misfire ?? "once"]],
            [t`Changed`, <TimeAgo key="updated" value={schedule.updated_at} />],
          ]}
        />
      </Panel>
      <RecordHistory kind="schedule" id={schedule.id} />
    </Page>
  );
}

/** Lets it rest, or start jobs again. */
function TurnButton({ stored: { record, etag } }: { stored: Tagged<Schedule> }) {
  const { t } = useLingui();
  const queries = useQueryClient();
  const on = record.enabled !== false;
  const turning = useMutation({
    mutationFn: () => schedules.update(record.id, etag, { enabled: !on }),
    onSuccess: async (changed) => {
      queries.setQueryData(schedules.get(record.id).queryKey, changed);
      await queries.invalidateQueries({ queryKey: schedules.key });
    },
    onError: async (error) => {
      toast(t`${record.name} was not changed: ${asApiError(error).message}`, { failed: true });
      await queries.invalidateQueries({ queryKey: schedules.key });
    },
  });
  return (
    <Button variant="default" leftSection={on ? <CirclePause size={15} /> : <CirclePlay size={15} />} loading={turning.isPending} onClick={() => turning.mutate()}>
      {on ? <Trans>Turn off</Trans> : <Trans>Turn on</Trans>}
    </Button>
  );
}
