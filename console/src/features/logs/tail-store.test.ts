import { describe, expect, it } from "vitest";
import type { LogRow } from "~/api/telemetry";
import { TAIL_CAPACITY, TailStore } from "./tail-store";

const time = "2026-01-01T00:00:00Z";
const row = (id: number): LogRow => ({ id: String(id), time, observed_time: time, severity: "info", service: "s", stream: "s", message: `line ${id}`, attributes: {} });
const rows = (from: number, count: number) => Array.from({ length: count }, (_, i) => row(from + i));

/** A store whose frames come when the test says so. */
function framed() {
  const frames: (() => void)[] = [];
  const store = new TailStore((run) => frames.push(run));
  return { store, frame: () => frames.splice(0).forEach((run) => run()), waiting: () => frames.length };
}

describe("TailStore", () => {
  it("tells its listeners once per frame, however many lines came", () => {
    const { store, frame, waiting } = framed();
    let told = 0;
    store.subscribe(() => (told += 1));
    for (let i = 0; i < 50; i += 1) store.add([row(i)]);
    expect(told).toBe(0);
    expect(waiting()).toBe(1);
    frame();
    expect(told).toBe(1);
    expect(store.snapshot().entries).toHaveLength(50);
  });

  it("keeps the newest ten thousand", () => {
    const { store, frame } = framed();
    store.add(rows(0, TAIL_CAPACITY + 5));
    frame();
    const { entries } = store.snapshot();
    expect(entries).toHaveLength(TAIL_CAPACITY);
    expect(entries[0]?.key).toBe("5");
  });

  it("holds the view while paused, counts what came, and shows it on resume", () => {
    const { store, frame } = framed();
    store.add(rows(0, 3));
    store.pause();
    store.add(rows(3, 4));
    frame();
    expect(store.snapshot()).toMatchObject({ paused: true, waiting: 4 });
    expect(store.snapshot().entries).toHaveLength(3);
    store.resume();
    frame();
    expect(store.snapshot()).toMatchObject({ paused: false, waiting: 0 });
    expect(store.snapshot().entries).toHaveLength(7);
  });

  it("shows a line once, though both the first page and the stream carry it", () => {
    const { store, frame } = framed();
    store.add(rows(0, 3));
    store.add(rows(1, 3));
    frame();
    expect(store.snapshot().entries.map((e) => e.key)).toEqual(["0", "1", "2", "3"]);
  });

  it("forgets lines and pause when it starts anew", () => {
    const { store, frame } = framed();
    store.add(rows(0, 3));
    store.pause();
    store.clear();
    store.add(rows(1, 1));
    frame();
    expect(store.snapshot()).toMatchObject({ paused: false, waiting: 0 });
    expect(store.snapshot().entries.map((e) => e.key)).toEqual(["1"]);
  });

  it("knows whether newly read lines join what it holds", () => {
    const { store } = framed();
    expect(store.hasGapBefore(rows(0, 2))).toBe(false);
    store.add(rows(0, 3));
    expect(store.hasGapBefore(rows(2, 3))).toBe(false);
    expect(store.hasGapBefore(rows(7, 3))).toBe(true);
    expect(store.hasGapBefore([])).toBe(false);
  });

  it("says where lines are missing", () => {
    const { store, frame } = framed();
    store.add(rows(0, 1));
    store.skipped(1204);
    store.lost();
    store.add(rows(1, 1));
    frame();
    expect(store.snapshot().entries.map((e) => e.kind)).toEqual(["row", "skipped", "lost", "row"]);
  });
});
