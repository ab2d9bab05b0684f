/** What a job says of itself, as far as it can be shown: a share of the whole, and numbers by name. */
export interface JobProgress {
  /** From 0 to 1; null where there is no whole. */
  share: number | null;
  counts: [name: string, count: number][];
}

/** Bytes are the whole of an import and no count of their own; a backup tells of how many tenants some are done. */
const WHOLE = ["offset", "length", "files", "of"];
/** In the order in which they are told; what is not among them comes after. */
const TOLD = ["rows", "created", "updated", "unchanged", "failed"];

export function readProgress(progress: unknown): JobProgress {
  const said = typeof progress === "object" && progress !== null ? (progress as Record<string, unknown>) : {};
  const share = part(said.offset, said.length) ?? part(said.tenants, said.of);
  const counts = Object.entries(said).filter((entry): entry is [string, number] => typeof entry[1] === "number" && !WHOLE.includes(entry[0]));
  const place = (name: string) => (TOLD.includes(name) ? TOLD.indexOf(name) : TOLD.length);
  return { share, counts: counts.sort(([a], [b]) => place(a) - place(b)) };
}

function part(done: unknown, whole: unknown): number | null {
  return typeof done === "number" && typeof whole === "number" && whole > 0 ? Math.min(done / whole, 1) : null;
}
