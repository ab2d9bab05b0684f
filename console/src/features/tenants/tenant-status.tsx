import { useLingui } from "@lingui/react/macro";
import { CircleCheck, CircleDot, CirclePause, Trash2 } from "lucide-react";
import type { Tenant } from "~/api/resources";
import { StatusBadge } from "~/ui/status";

export function TenantStatus({ status }: { status: Tenant["status"] }) {
  const { t } = useLingui();
  if (status === "active") return <StatusBadge tone="green" icon={<CircleCheck size={13} />}>{t`Active`}</StatusBadge>;
  if (status === "suspended") return <StatusBadge tone="yellow" icon={<CirclePause size={13} />}>{t`Suspended`}</StatusBadge>;
  if (status === "deleting") return <StatusBadge tone="red" icon={<Trash2 size={13} />}>{t`Being erased`}</StatusBadge>;
  return <StatusBadge tone="blue" icon={<CircleDot size={13} />}>{t`Being made`}</StatusBadge>;
}
