import { useLingui } from "@lingui/react/macro";
import { Badge } from "@mantine/core";
import { CircleAlert, CircleCheck, CircleHelp, CircleMinus, CirclePause, CirclePlay, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";

type Tone = "green" | "yellow" | "red" | "gray" | "blue" | "iris";

/** State in words with a sign of its own: never by colour alone. */
export function StatusBadge({ tone, icon, children }: { tone: Tone; icon: ReactNode; children: ReactNode }) {
  return (
    <Badge color={tone} leftSection={icon} size="md">
      {children}
    </Badge>
  );
}

export function DeviceStatus({ status }: { status: string }) {
  const { t } = useLingui();
  if (status === "online") return <StatusBadge tone="green" icon={<CircleCheck size={13} />}>{t`Online`}</StatusBadge>;
  if (status === "stale") return <StatusBadge tone="yellow" icon={<TriangleAlert size={13} />}>{t`Stale`}</StatusBadge>;
  return <StatusBadge tone="gray" icon={<CircleMinus size={13} />}>{t`Offline`}</StatusBadge>;
}

export function ServiceStatus({ status }: { status: string | null | undefined }) {
  const { t } = useLingui();
  if (status === "running") return <StatusBadge tone="green" icon={<CirclePlay size={13} />}>{t`Running`}</StatusBadge>;
  if (status === "stopped") return <StatusBadge tone="gray" icon={<CirclePause size={13} />}>{t`Stopped`}</StatusBadge>;
  return <StatusBadge tone="gray" icon={<CircleHelp size={13} />}>{t`Unknown`}</StatusBadge>;
}

export function ServiceHealth({ health }: { health: string | null | undefined }) {
  const { t } = useLingui();
  if (health === "healthy") return <StatusBadge tone="green" icon={<CircleCheck size={13} />}>{t`Healthy`}</StatusBadge>;
  if (health === "warning") return <StatusBadge tone="yellow" icon={<TriangleAlert size={13} />}>{t`Warning`}</StatusBadge>;
  if (health === "critical") return <StatusBadge tone="red" icon={<CircleAlert size={13} />}>{t`Critical`}</StatusBadge>;
  return <StatusBadge tone="gray" icon={<CircleHelp size={13} />}>{t`Unknown`}</StatusBadge>;
}

export function ScheduleStatus({ enabled }: { enabled: boolean | undefined }) {
  const { t } = useLingui();
  if (enabled === false) return <StatusBadge tone="gray" icon={<CirclePause size={13} />}>{t`Turned off`}</StatusBadge>;
  return <StatusBadge tone="green" icon={<CirclePlay size={13} />}>{t`Turned on`}</StatusBadge>;
}
