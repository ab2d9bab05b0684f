/** When something is due, where a cron expression is simple enough to be said in a few words. */
export type Timing =
  | { every: "hour"; minute: number }
  | { every: "day"; hour: number; minute: number }
  | { every: "week"; days: number[]; hour: number; minute: number }
  | { every: "month"; day: number; hour: number; minute: number };

const DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/** Null for what is not simple, or no expression at all. Days of the week count from Sunday, which is 0. */
export function readCron(cron: string): Timing | null {
  const [minutes = "", hours = "", day = "", month = "", weekdays = "", ...rest] = cron.trim().split(/\s+/);
  const minute = whole(minutes, 59);
  if (minute === null || month !== "*" || rest.length > 0) return null;
  if (hours === "*") return day === "*" && weekdays === "*" ? { every: "hour", minute } : null;
  const hour = whole(hours, 23);
  if (hour === null) return null;
  if (weekdays !== "*") {
    const days = day === "*" ? readDays(weekdays) : null;
    return days && { every: "week", days, hour, minute };
  }
  if (day === "*") return { every: "day", hour, minute };
  const date = whole(day, 31);
  return date === null || date === 0 ? null : { every: "month", day: date, hour, minute };
}

function whole(text: string, most: number): number | null {
  return /^\d{1,2}$/.test(text) && Number(text) <= most ? Number(text) : null;
}

function readDays(text: string): number[] | null {
  const found = new Set<number>();
  for (const part of text.split(",")) {
    const [from, to, ...rest] = part.split("-").map(readDay);
    const last = to === undefined ? from : to;
    if (from === undefined || from === null || last === undefined || last === null || from > last || rest.length > 0) return null;
    for (let day = from; day <= last; day += 1) found.add(day % 7);
  }
  return [...found].sort((a, b) => a - b);
}

function readDay(text: string): number | null {
  const named = DAYS.indexOf(text.toUpperCase());
  return named >= 0 ? named : whole(text, 7);
}
