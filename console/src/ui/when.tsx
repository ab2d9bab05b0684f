import { useLingui } from "@lingui/react/macro";
import { readCron } from "~/lib/cron";

const WEEKDAYS = "1,2,3,4,5";
/** A Sunday. */
const SUNDAY = Date.UTC(2026, 0, 4);
const DAY_MS = 86_400_000;

/** When a schedule is due, in words; null where that takes the expression itself. */
export function useWhen(): (cron: string) => string | null {
  const { t, i18n } = useLingui();
  const clock = (hour: number, minute: number) => new Intl.DateTimeFormat(i18n.locale, { timeStyle: "short", timeZone: "UTC" }).format(Date.UTC(2026, 0, 1, hour, minute));
  const weekday = (day: number) => new Intl.DateTimeFormat(i18n.locale, { weekday: "long", timeZone: "UTC" }).format(SUNDAY + day * DAY_MS);
  return (cron) => {
    const timing = readCron(cron);
    if (!timing) return null;
    if (timing.every === "hour") {
      const { minute } = timing;
      return t`Every hour, at minute ${minute}`;
    }
    const time = clock(timing.hour, timing.minute);
    if (timing.every === "day") return t`Every day at ${time}`;
    if (timing.every === "month") {
      const { day } = timing;
      return t`On day ${day} of every month at ${time}`;
    }
    if (timing.days.join() === WEEKDAYS) return t`From Monday to Friday at ${time}`;
    const days = new Intl.ListFormat(i18n.locale, { type: "conjunction" }).format(timing.days.map(weekday));
    return t`Every ${days} at ${time}`;
  };
}

/** When a schedule is due: in words where that is short, as it is written otherwise. */
export function When({ cron }: { cron: string }) {
  const words = useWhen()(cron);
  return words ? <span title={cron}>{words}</span> : <span className="mono">{cron}</span>;
}
