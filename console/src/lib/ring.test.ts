import { describe, expect, it } from "vitest";
import { Ring } from "./ring";

describe("Ring", () => {
  it("keeps the newest entries in order and counts what fell out", () => {
    const ring = new Ring<number>(3);
    ring.push([1, 2]);
    ring.push([3, 4, 5]);
    expect(ring.toArray()).toEqual([3, 4, 5]);
    expect(ring.dropped).toBe(2);
  });

  it("takes a batch larger than itself", () => {
    const ring = new Ring<number>(2);
    ring.push([0]);
    ring.push([1, 2, 3, 4]);
    expect(ring.toArray()).toEqual([3, 4]);
    expect(ring.dropped).toBe(3);
  });

  it("gives a new array after a push, so that it can be compared by identity", () => {
    const ring = new Ring<number>(2);
    const before = ring.toArray();
    ring.push([1]);
    expect(ring.toArray()).not.toBe(before);
  });

  it("agrees with a plain list for any sequence of batches", () => {
    let seed = 7;
    const next = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
    for (let round = 0; round < 200; round += 1) {
      const capacity = 1 + next(8);
      const ring = new Ring<number>(capacity);
      const all: number[] = [];
      for (let i = 0; i < 12; i += 1) {
        const batch = Array.from({ length: next(12) }, () => next(1000));
        all.push(...batch);
        ring.push(batch);
        expect(ring.toArray()).toEqual(all.slice(-capacity));
        expect(ring.dropped).toBe(Math.max(0, all.length - capacity));
      }
    }
  });

  it("refuses a capacity that is none", () => {
    expect(() => new Ring(0)).toThrow(RangeError);
  });
});
