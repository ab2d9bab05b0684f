/** A bounded list that drops its oldest entries; `dropped` counts what fell out. */
export class Ring<T> {
  #items: T[] = [];
  #dropped = 0;
  readonly capacity: number;

  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) throw new RangeError("capacity must be a positive integer");
    this.capacity = capacity;
  }

  get length(): number {
    return this.#items.length;
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** Appends in order; a batch larger than the ring keeps its newest part. */
  push(batch: readonly T[]): void {
    const kept = batch.length > this.capacity ? batch.slice(batch.length - this.capacity) : batch;
    this.#dropped += batch.length - kept.length;
    this.#items = this.#items.concat(kept);
    const over = this.#items.length - this.capacity;
    if (over > 0) {
      this.#items = this.#items.slice(over);
      this.#dropped += over;
    }
  }

  clear(): void {
    this.#items = [];
    this.#dropped = 0;
  }

  /** Oldest first. A new array after each push, so it can be compared by identity. */
  toArray(): readonly T[] {
    return this.#items;
  }
}
