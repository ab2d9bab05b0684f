import { useLingui } from "@lingui/react/macro";

/** What fields of records are called where people meet them; undefined for one that they do not. */
export function useFieldNames(): Partial<Record<string, string>> {
  const { t } = useLingui();
  return {
    agent_version: t`Agent`,
    contact_email: t`Contact e-mail`,
    contact_name: t`Contact`,
    container_name: t`Container`,
    description: t`Description`,
    device_id: t`Device`,
    health: t`Health`,
    hostname: t`Host name`,
    last_deployment_at: t`Deployed`,
    last_seen: t`Last seen`,
    name: t`Name`,
    notes: t`Notes`,
    organization_id: t`Organization`,
    path: t`Path`,
    port: t`Port`,
    project_id: t`Project`,
    slug: t`Address`,
    status: t`Status`,
    status_reason: t`Reason`,
    tags: t`Tags`,
    tests_dir_path: t`Tests directory`,
    uptime_seconds: t`Uptime`,
    url: t`URL`,
    version: t`Version`,
    website: t`Website`,
  };
}
