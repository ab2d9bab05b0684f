import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useJobTitle } from "~/api/job-titles";
import { schedules } from "~/api/resources";
import { ALL, BACK_UP, BIN, payloadText, SOME, textPayload } from "~/lib/schedule-payload";
import type { Field } from "~/ui/fields";
import { Page } from "~/ui/page";
import { EditRecord, NewRecord } from "~/ui/record-pages";
import { NoPermission } from "~/ui/states";
import { useWhen } from "~/ui/when";
import { useSchedulable } from "./kinds";
import { TimeZoneSelect } from "./time-zone-select";

const MOST_DAYS = 30;

/** `stored` is the job that the schedule has, `wanted` the one that a new one begins with. */
function useFields(stored?: string, wanted?: string): Field[] {
  const { t } = useLingui();
  const when = useWhen();
  const jobTitle = useJobTitle();
  const offered = useSchedulable();
  const jobs = stored && !offered.includes(stored) ? [stored, ...offered] : offered;
  const days = (text: string) => (/^\d{1,2}$/.test(text) && Number(text) <= MOST_DAYS ? null : t`A whole number from 0 to 30.`);
  const kept = (payload: string) => [
    { value: SOME, label: t`Many new ones, fewer old ones` },
    { value: ALL, label: t`All of them` },
    ...(payload.startsWith("{") ? [{ value: payload, label: t`As it is: ${payload}` }] : []),
  ];
  const misfires = [
    { value: "once", label: t`Make up for them once` },
    { value: "skip", label: t`Skip them` },
    { value: "all", label: t`Make up for each, up to 100` },
  ];
  return [
    { name: "name", label: t`Name`, description: t`As it stands in the list.`, required: true },
    { name: "job", label: t`Job`, kind: "choice", initial: jobs.find((kind) => kind === wanted) ?? jobs[0] ?? "", choices: jobs.map((kind) => ({ value: kind, label: jobTitle(kind) })) },
    {
      name: "payload",
      label: t`Days in the recycle bin`,
      description: t`What has been there for longer is erased for good.`,
      kind: "number",
      initial: "7",
      required: true,
      validate: days,
      vary: ({ job, payload = "" }) => {
        if (job === BIN) return {};
        if (job !== BACK_UP) return null;
        const explain = (text: string) => (text === ALL ? t`Remove them yourself before the place is full.` : text.startsWith("{") ? null : t`The last 24, and one of each of the last 7 days, 5 weeks and 12 months.`);
        return { label: t`Backups that stay`, description: t`When there is a new one; the others are removed.`, kind: "choice", choices: kept(payload), explain, validate: () => null };
      },
      toValue: (text, { job = "" }) => textPayload(job, text, stored),
      fromValue: (value) => payloadText(stored ?? "", value),
    },
    {
      name: "cron",
      label: t`When`,
      description: t`Minute, hour, day of the month, month, day of the week: 30 2 * * 1-5 is half past two from Monday to Friday.`,
      kind: "code",
      initial: "30 2 * * *",
      required: true,
      explain: when,
    },
    { name: "time_zone", label: t`Time zone`, description: t`Whose clock is meant.`, picker: TimeZoneSelect, initial: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC" },
    { name: "misfire", label: t`Missed times`, description: t`When the server was not there.`, kind: "choice", choices: misfires, initial: "once" },
  ];
}

export function NewSchedule() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/schedules/new" });
  const navigate = useNavigate();
  const { job } = useSearch({ from: "/$tenant/schedules/new" });
  const fields = useFields(undefined, job);
  const none = useSchedulable().length === 0;
  if (none) {
    return (
      <Page title={t`New schedule`} narrow>
        <NoPermission />
      </Page>
    );
  }
  return (
    <NewRecord
      title={t`New schedule`}
      submitLabel={t`Create schedule`}
      fields={fields}
      collection={schedules}
      onCancel={() => void navigate({ to: "/$tenant/schedules", params: { tenant } })}
      onCreated={({ id }) => navigate({ to: "/$tenant/schedules/$schedule", params: { tenant, schedule: id } })}
    />
  );
}

export function EditSchedule() {
  const { t } = useLingui();
  const params = useParams({ from: "/$tenant/schedules/$schedule/edit" });
  const navigate = useNavigate();
  const { data } = useQuery(schedules.get(params.schedule));
  return (
    <EditRecord
      id={params.schedule}
      title={t`Edit schedule`}
      permission="schedules:write"
      fields={useFields(data?.record.job)}
      collection={schedules}
      onDone={() => navigate({ to: "/$tenant/schedules/$schedule", params })}
    />
  );
}
