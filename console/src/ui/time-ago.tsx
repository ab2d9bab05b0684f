import { useLingui } from "@lingui/react/macro";
import { Tooltip } from "@mantine/core";
import { formatDateTime, formatRelative } from "~/lib/format";
import { useNow } from "./clock";

/** How long ago, with the absolute time on hover and for machines. What is newer than the last tick of the clock is now. */
export function TimeAgo({ value }: { value: string | null | undefined }) {
  const { i18n } = useLingui();
  const now = useNow();
  const time = value ? Date.parse(value) : NaN;
  if (!value || !Number.isFinite(time)) return <>–</>;
  return (
    <Tooltip label={formatDateTime(time, i18n.locale)}>
      <time dateTime={value} className="nowrap">
        {formatRelative(Math.min(time, now), now, i18n.locale)}
      </time>
    </Tooltip>
  );
}
