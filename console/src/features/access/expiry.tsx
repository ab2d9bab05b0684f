import { useLingui } from "@lingui/react/macro";
import { NativeSelect, Text } from "@mantine/core";
import { useNow } from "~/ui/clock";
import { TimeAgo } from "~/ui/time-ago";

const DAY_MS = 86_400_000;

/** When a secret should end by itself, in days; empty is never. */
export function ExpirySelect({ value, onChange }: { value: string; onChange(value: string): void }) {
  const { t } = useLingui();
  return (
    <NativeSelect
      label={t`Valid for`}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      data={[
        { value: "1", label: t`One day` },
        { value: "30", label: t`30 days` },
        { value: "90", label: t`90 days` },
        { value: "365", label: t`One year` },
        { value: "", label: t`Never` },
      ]}
    />
  );
}

export function expiresAt(days: string): string | null {
  return days === "" ? null : new Date(Date.now() + Number(days) * DAY_MS).toISOString();
}

export function Expiry({ at }: { at: string | null | undefined }) {
  const { t } = useLingui();
  const now = useNow();
  if (!at) return <>{t`Never`}</>;
  if (Date.parse(at) < now)
    return (
      <Text span size="sm" c="var(--mantine-color-error)">
        {t`Expired`} <TimeAgo value={at} />
      </Text>
    );
  return <TimeAgo value={at} />;
}
