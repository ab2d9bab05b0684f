import { useLingui } from "@lingui/react/macro";
import { CircleAlert, CircleCheck, ShieldCheck } from "lucide-react";
import type { Backup } from "~/api/backups";
import { StatusBadge } from "~/ui/status";

/** Whether it holds, as far as is known. */
export function BackupStatus({ backup: { whole, verified_at } }: { backup: Backup }) {
  const { t } = useLingui();
  if (!whole) return <StatusBadge tone="red" icon={<CircleAlert size={13} />}>{t`Damaged`}</StatusBadge>;
  if (verified_at) return <StatusBadge tone="green" icon={<ShieldCheck size={13} />}>{t`Verified`}</StatusBadge>;
  return <StatusBadge tone="gray" icon={<CircleCheck size={13} />}>{t`Complete`}</StatusBadge>;
}
