/** RFC 7396 on records, and the three-way comparison a stale save needs. */
export type Flat = Record<string, unknown>;

/** What must be sent to turn `before` into `after`; a removed value becomes null. */
export function mergePatch(before: Flat, after: Flat): Flat {
  const patch: Flat = {};
  for (const [key, value] of Object.entries(after)) {
    const was = before[key] ?? null;
    const next = value === "" || value === undefined ? null : value;
    if (same(was, next)) continue;
    // An object is merged into the stored one, so that what it no longer has must be said.
    patch[key] = isObject(was) && isObject(next) ? mergePatch(was, { ...emptied(was), ...next }) : next;
  }
  return patch;
}

function isObject(value: unknown): value is Flat {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function emptied(object: Flat): Flat {
  return Object.fromEntries(Object.keys(object).map((key) => [key, null]));
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
