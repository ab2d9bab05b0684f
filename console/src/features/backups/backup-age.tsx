import { Trans, useLingui } from "@lingui/react/macro";
import { Alert } from "@mantine/core";
import { CircleCheck, TriangleAlert } from "lucide-react";
import type { Backup } from "~/api/backups";
import { useNow } from "~/ui/clock";
import { TimeAgo } from "~/ui/time-ago";

/** A day, and some hours for one that takes long or waits its turn. */
const OLD_MS = 26 * 3_600_000;

/** How old the last good backup of everything is, and a warning when that is too old to lose what came since. */
export function BackupAge({ backups }: { backups: readonly Backup[] }) {
  const { t } = useLingui();
  const now = useNow();
  const last = backups.find((backup) => backup.everything && backup.whole);
  if (!last)
    return (
      <Alert color="red" icon={<TriangleAlert size={18} />} title={t`There is no good backup of everything`}>
        <Trans>Back up now, and see below that a schedule does so.</Trans>
      </Alert>
    );
  if (now - Date.parse(last.made_at) > OLD_MS)
    return (
      <Alert color="yellow" icon={<TriangleAlert size={18} />} title={t`The last backup is old`}>
        <Trans>
          Made <TimeAgo value={last.made_at} />; what came since is in none. Back up now, and see below that a schedule does so.
        </Trans>
      </Alert>
    );
  return (
    <Alert color="green" icon={<CircleCheck size={18} />} title={t`The last backup is recent`}>
      <Trans>
        Made <TimeAgo value={last.made_at} />; what came since is in none yet.
      </Trans>
    </Alert>
  );
}
