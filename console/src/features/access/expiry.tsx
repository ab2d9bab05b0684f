import { useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import { formatDate, formatDateTime } from "~/lib/format";
import { useNow } from "~/ui/clock";
import type { Field } from "~/ui/fields";

const DAY_MS = 86_400_000;

/** When a secret ends by itself: chosen as a number of days, stored as a moment. */
export function useExpiryField(days: string): Field {
  const { t } = useLingui();
  return {
    name: "expires_at",
    label: t`Valid for`,
    kind: "choice",
    initial: days,
    choices: [
      { value: "1", label: t`One day` },
      { value: "30", label: t`30 days` },
      { value: "90", label: t`90 days` },
      { value: "365", label: t`One year` },
      { value: "", label: t`Never` },
    ],
    toValue: (text) => (text === "" ? null : new Date(Date.now() + Number(text) * DAY_MS).toISOString()),
  };
}

/** The day on which it ends, or that it has. */
export function Expiry({ at }: { at: string | null | undefined }) {
  const { t, i18n } = useLingui();
  const now = useNow();
  if (!at) return <>{t`Never`}</>;
  const time = Date.parse(at);
  const day = (
    <time dateTime={at} title={formatDateTime(time, i18n.locale)} className="nowrap">
      {formatDate(time, i18n.locale)}
    </time>
  );
  if (time >= now) return day;
  return (
    <Text span size="sm" c="var(--mantine-color-error)">
      {t`Expired`} {day}
    </Text>
  );
}
