import { same } from "./merge-patch";

/** What a scheduled job is told, as the one text that a form has for it. */

export const BIN = "empty_recycle_bin";
export const BACK_UP = "back_up";
/** Which backups stay when there is a new one, unless somebody says otherwise. */
export const KEPT = { last: 24, daily: 7, weekly: 5, monthly: 12 };
/** The texts for these, and for all of them. */
export const SOME = "some";
export const ALL = "all";

/** The text for what is stored. */
export function payloadText(job: string, payload: unknown): string {
  const said = typeof payload === "object" && payload !== null ? (payload as Record<string, unknown>) : {};
  if (job === BIN) return said.older_than_days === undefined ? "" : String(said.older_than_days);
  if (job === BACK_UP && !said.keep) return ALL;
  if (job === BACK_UP && same(said.keep, KEPT)) return SOME;
  return Object.keys(said).length === 0 ? "" : JSON.stringify(said);
}

/** What the text stands for. What a job is told that the form does not know stays as it was, while it is that job. */
export function textPayload(job: string, text: string, stored: string | undefined): object {
  if (job === BIN) return { older_than_days: Number(text) };
  if (job === stored && text.startsWith("{")) return JSON.parse(text) as object;
  return job === BACK_UP && text !== ALL ? { keep: KEPT } : {};
}
