import { useLingui } from "@lingui/react/macro";

/** What fields of records are called where people meet them; undefined for one that they do not. */
export function useFieldNames(): Partial<Record<string, string>> {
  const { t } = useLingui();
  return {
    agent_version: t`Agent`,
    contact_email: t`Contact e-mail`,
    contact_name: t`Contact`,
    container_name: t`Container`,
    cron: t`When`,
    description: t`Description`,
    device_id: t`Device`,
    enabled: t`Turned on`,
    health: t`Health`,
    hostname: t`Host name`,
    job: t`Job`,
    last_deployment_at: t`Deployed`,
    last_seen: t`Last seen`,
    misfire: t`Missed times`,
    name: t`Name`,
    notes: t`Notes`,
    organization_id: t`Organization`,
    path: t`Path`,
    payload: t`What the job is told`,
    port: t`Port`,
    project_id: t`Project`,
    roles: t`Roles`,
    slug: t`Address`,
    status: t`Status`,
    status_reason: t`Reason`,
    tags: t`Tags`,
    tests_dir_path: t`Tests directory`,
    time_zone: t`Time zone`,
    uptime_seconds: t`Uptime`,
    url: t`URL`,
    version: t`Version`,
    website: t`Website`,
  };
}
