import { Trans, useLingui } from "@lingui/react/macro";
import { FolderX } from "lucide-react";
import { EmptyState } from "~/ui/states";

/** The settings name no place for backups. */
export function NoPlace() {
  const { t } = useLingui();
  return (
    <EmptyState icon={<FolderX size={26} />} title={t`No place for backups`} command={`backup_dir = "/mnt/elsewhere/steward"`} from={t`In the settings`}>
      <Trans>Name a folder, best on another machine, in the settings of this installation, and start it again. With a bucket, backups go there.</Trans>
    </EmptyState>
  );
}
