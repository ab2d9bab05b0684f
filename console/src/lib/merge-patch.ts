/** RFC 7396 on flat records, and the three-way comparison a stale save needs. */
export type Flat = Record<string, unknown>;

/** What must be sent to turn `before` into `after`; a removed value becomes null. */
export function mergePatch(before: Flat, after: Flat): Flat {
  const patch: Flat = {};
  for (const [key, value] of Object.entries(after)) {
    const next = value === "" || value === undefined ? null : value;
    if (!same(before[key] ?? null, next)) patch[key] = next;
  }
  return patch;
}

export interface FieldConflict {
  field: string;
  /** As it was when editing began, as it is stored now, as it was about to be saved. */
  base: unknown;
  theirs: unknown;
  mine: unknown;
  /** Both sides changed the field, to different values. */
  clash: boolean;
}

/** Every field that either side changed since `base`. */
export function conflicts(base: Flat, theirs: Flat, patch: Flat): FieldConflict[] {
  const fields = new Set([...Object.keys(base), ...Object.keys(patch)]);
  const out: FieldConflict[] = [];
  for (const field of fields) {
    const before = base[field] ?? null;
    const now = theirs[field] ?? null;
    const mine = field in patch ? patch[field] : now;
    const theyChanged = !same(before, now);
    const iChanged = field in patch && !same(mine, now);
    if (theyChanged || iChanged) out.push({ field, base: before, theirs: now, mine, clash: theyChanged && iChanged });
  }
  return out;
}

export function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
