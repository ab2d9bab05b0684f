import { Trans, useLingui } from "@lingui/react/macro";
import { Alert, Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { CircleAlert, ShieldCheck } from "lucide-react";
import { type BackupDetail, backupQuery, verifyBackup } from "~/api/backups";
import { useCan } from "~/api/session";
import { formatBytes, formatDateTime, formatNumber } from "~/lib/format";
import { asApiError } from "~/lib/problem";
import { TextLink } from "~/ui/links";
import { Facts, Page, Panel } from "~/ui/page";
import { Loaded } from "~/ui/record-tools";
import { TimeAgo } from "~/ui/time-ago";
import { toast } from "~/ui/toasts";
import { BackupContents } from "./backup-contents";
import { BackupJobs } from "./backup-jobs";
import { BackupStatus } from "./backup-status";
import { Extent } from "./extent";

export default function BackupPage() {
  const { t } = useLingui();
  const { backup } = useParams({ from: "/$tenant/backups/$backup" });
  return (
    <Loaded query={useQuery(backupQuery(backup))} title={t`Backup`} permission="platform:read">
      {(found) => <BackupDetails backup={found} />}
    </Loaded>
  );
}

function BackupDetails({ backup }: { backup: BackupDetail }) {
  const { t, i18n } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/backups/$backup" });
  const canVerify = useCan("platform:execute");
  const { bytes, tenants, missing } = backup;
  return (
    <Page
      title={t`Backup of ${formatDateTime(Date.parse(backup.made_at), i18n.locale)}`}
      aside={<BackupStatus backup={backup} />}
      trail={
        <TextLink to="/$tenant/backups" params={{ tenant }} className="target" inherit>
          <Trans>Backups</Trans>
        </TextLink>
      }
      actions={canVerify && <VerifyButton name={backup.name} />}
    >
      {!backup.whole && (
        <Alert color="red" icon={<CircleAlert size={18} />} title={t`This backup does not hold`}>
          {missing ? <Trans>Parts of it are missing: {formatNumber(missing, i18n.locale)}.</Trans> : <Trans>What is stored is not what was written.</Trans>}{" "}
          <Trans>Back up anew, and look into what happened where backups are kept.</Trans> <span className="mono">{backup.problem}</span>
        </Alert>
      )}
      <BackupJobs />
      <Panel>
        <Facts
          items={[
            [t`Begun`, <TimeAgo key="made" value={backup.made_at} />],
            [t`Complete`, <TimeAgo key="ended" value={backup.ended_at} />],
            [t`Verified`, <TimeAgo key="verified" value={backup.verified_at} />],
            [t`Size`, typeof bytes === "number" ? formatBytes(bytes, i18n.locale) : null],
            [t`Tenants`, typeof tenants === "number" ? formatNumber(tenants, i18n.locale) : null],
            [t`Extent`, <Extent key="extent" backup={backup} />],
            [t`Id`, <span key="name" className="mono">{backup.name}</span>],
          ]}
        />
      </Panel>
      {backup.contents.length > 0 && <BackupContents contents={backup.contents} />}
    </Page>
  );
}

function VerifyButton({ name }: { name: string }) {
  const { t } = useLingui();
  const queries = useQueryClient();
  const verifying = useMutation({
    mutationFn: () => verifyBackup(name),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["jobs"] }),
    onError: (error) => toast(t`It is not being verified: ${asApiError(error).message}`, { failed: true }),
  });
  return (
    <Button variant="default" leftSection={<ShieldCheck size={15} />} loading={verifying.isPending} onClick={() => verifying.mutate()}>
      <Trans>Verify</Trans>
    </Button>
  );
}
