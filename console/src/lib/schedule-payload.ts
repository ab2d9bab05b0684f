/** What a scheduled job is told, as the one text that a form has for it. */

export const BIN = "empty_recycle_bin";

/** The text for what is stored. */
export function payloadText(job: string, payload: unknown): string {
  const said = typeof payload === "object" && payload !== null ? (payload as Record<string, unknown>) : {};
  if (job === BIN) return said.older_than_days === undefined ? "" : String(said.older_than_days);
  return Object.keys(said).length === 0 ? "" : JSON.stringify(said);
}

/** What the text stands for. What a job is told that the form does not know stays as it was, while it is that job. */
export function textPayload(job: string, text: string, stored: string | undefined): object {
  if (job === BIN) return { older_than_days: Number(text) };
  return job === stored && text.startsWith("{") ? (JSON.parse(text) as object) : {};
}
