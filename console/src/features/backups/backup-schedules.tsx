import { Trans, useLingui } from "@lingui/react/macro";
import { Group, Stack, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { useJobTitle } from "~/api/job-titles";
import { RecordLink } from "~/api/kinds";
import { schedules } from "~/api/resources";
import { useCan } from "~/api/session";
import { equals } from "~/lib/filter";
import { asApiError } from "~/lib/problem";
import { ButtonLink } from "~/ui/links";
import { Panel } from "~/ui/page";
import { Failure, LoadingBlock } from "~/ui/states";
import { ScheduleStatus } from "~/ui/status";
import { When } from "~/ui/when";

const JOBS = ["back_up", "verify_backup"] as const;

/** By which schedules backups are made and read again. */
export function BackupSchedules() {
  const { t } = useLingui();
  const { tenant } = useParams({ strict: false }) as { tenant: string };
  const jobTitle = useJobTitle();
  const canWrite = useCan("schedules:write");
  const filter = JOBS.map((job) => equals("job", job)).join(" OR ");
  const query = useInfiniteQuery(schedules.list({ filter, orderBy: "job asc" }));
  const found = query.data?.pages.flatMap((page) => page.data) ?? [];
  const add = (job: (typeof JOBS)[number], label: string) => (
    <ButtonLink key={job} to="/$tenant/schedules/new" params={{ tenant }} search={{ job }} variant="default" size="compact-sm" leftSection={<Plus size={13} />}>
      {label}
    </ButtonLink>
  );
  const none = (job: string) => query.data !== undefined && found.every((schedule) => schedule.job !== job);
  return (
    <Panel
      title={t`By the clock`}
      label={t`By the clock`}
      aside={
        canWrite && (
          <>
            {none("back_up") && add("back_up", t`Back up regularly`)}
            {none("verify_backup") && add("verify_backup", t`Verify regularly`)}
          </>
        )
      }
    >
      {query.isPending && <LoadingBlock height={40} />}
      {query.error && !query.data && <Failure error={asApiError(query.error)} permission="schedules:read" onRetry={() => void query.refetch()} />}
      <Stack gap="xs">
        {found.map((schedule) => (
          <Group key={schedule.id} gap="xs">
            <Text size="sm" fw={500}>
              <RecordLink kind="schedule" record={schedule}>
                {schedule.name}
              </RecordLink>
            </Text>
            <Text size="sm">
              {jobTitle(schedule.job)} · <When cron={schedule.cron} /> · {schedule.time_zone}
            </Text>
            <ScheduleStatus enabled={schedule.enabled} />
          </Group>
        ))}
        {none("back_up") && (
          <Text size="sm" c="dimmed">
            <Trans>No schedule makes backups: they are made only when somebody asks for one.</Trans>
          </Text>
        )}
      </Stack>
    </Panel>
  );
}
