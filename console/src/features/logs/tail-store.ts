import type { LogRow } from "~/api/telemetry";
import { Ring } from "~/lib/ring";

/** What a tail shows: a line, or a note that lines are missing here. */
export type TailEntry = { kind: "row"; key: string; row: LogRow } | { kind: "skipped"; key: string; count: number } | { kind: "lost"; key: string };

export const TAIL_CAPACITY = 10_000;

export interface TailSnapshot {
  /** Oldest first. */
  entries: readonly TailEntry[];
  /** Arrived since the view was paused. */
  waiting: number;
  paused: boolean;
}

/**
 * Lines of a live tail. They are kept in a ring, and listeners hear of them at most once per animation frame. While paused the
 * ring keeps filling and the view stays as it was.
 */
export class TailStore {
  #ring = new Ring<TailEntry>(TAIL_CAPACITY);
  #seen = new Set<string>();
  #notes = 0;
  #waiting = 0;
  #frozen: readonly TailEntry[] | null = null;
  #snapshot: TailSnapshot = { entries: [], waiting: 0, paused: false };
  #listeners = new Set<() => void>();
  #scheduled = false;
  readonly #schedule: (run: () => void) => void;

  constructor(schedule: (run: () => void) => void = (run) => void requestAnimationFrame(run)) {
    this.#schedule = schedule;
  }

  add(rows: readonly LogRow[]): void {
    const fresh = rows.filter((row) => !this.#seen.has(row.id));
    if (fresh.length === 0) return;
    for (const row of fresh) this.#seen.add(row.id);
    // The set only has to recognise what may arrive twice: the first page and the tail's beginning.
    if (this.#seen.size > TAIL_CAPACITY * 2) this.#seen = new Set(fresh.map((row) => row.id));
    this.#push(fresh.map((row) => ({ kind: "row", key: row.id, row })));
  }

  isEmpty(): boolean {
    return this.#ring.length === 0;
  }

  /** Whether lines may be missing between what is held and these: something is held, and none of it is among them. */
  hasGapBefore(rows: readonly LogRow[]): boolean {
    return !this.isEmpty() && rows.length > 0 && !rows.some((row) => this.#seen.has(row.id));
  }

  skipped(count: number): void {
    this.#push([{ kind: "skipped", key: `skipped-${this.#notes++}`, count }]);
  }

  lost(): void {
    this.#push([{ kind: "lost", key: `lost-${this.#notes++}` }]);
  }

  /** Starts anew, as with another filter; a pause ends with what it held. */
  clear(): void {
    this.#ring.clear();
    this.#seen.clear();
    this.#waiting = 0;
    this.#frozen = null;
    this.#changed();
  }

  pause(): void {
    if (this.#frozen) return;
    this.#frozen = this.#ring.toArray();
    this.#changed();
  }

  resume(): void {
    this.#frozen = null;
    this.#waiting = 0;
    this.#changed();
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  snapshot = (): TailSnapshot => this.#snapshot;

  #push(entries: TailEntry[]): void {
    this.#ring.push(entries);
    if (this.#frozen) this.#waiting += entries.length;
    this.#changed();
  }

  #changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(() => {
      this.#scheduled = false;
      this.#snapshot = { entries: this.#frozen ?? this.#ring.toArray(), waiting: this.#waiting, paused: this.#frozen !== null };
      for (const listener of this.#listeners) listener();
    });
  }
}
