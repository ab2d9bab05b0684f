import { useLingui } from "@lingui/react/macro";
import { Tooltip } from "@mantine/core";
import { formatDateTime, formatRelative } from "~/lib/format";
import { useNow } from "./clock";

/** Relative, with the absolute time on hover and for machines. */
export function TimeAgo({ value }: { value: string | null | undefined }) {
  const { i18n } = useLingui();
  const now = useNow();
  const time = value ? Date.parse(value) : NaN;
  if (!value || !Number.isFinite(time)) return <>–</>;
  return (
    <Tooltip label={formatDateTime(time, i18n.locale)}>
      <time dateTime={value} className="nowrap">
        {formatRelative(time, now, i18n.locale)}
      </time>
    </Tooltip>
  );
}
