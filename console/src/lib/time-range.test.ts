import { describe, expect, it } from "vitest";
import { DEFAULT_RANGE, formatDuration, formatRange, parseDuration, parseRange, PRESETS, resolveRange, stepFor } from "./time-range";

describe("time ranges in the URL", () => {
  it("round-trips every preset", () => {
    for (const preset of PRESETS) {
      const seconds = parseDuration(preset);
      expect(seconds).not.toBeNull();
      expect(formatDuration(seconds ?? 0)).toBe(preset);
      expect(parseRange(formatRange({ kind: "relative", seconds: seconds ?? 0 }))).toEqual({ kind: "relative", seconds });
    }
  });

  it("round-trips an absolute span", () => {
    const range = { kind: "absolute", from: 1_700_000_000_000, to: 1_700_000_360_000 } as const;
    expect(parseRange(formatRange(range))).toEqual(range);
  });

  it("falls back on nonsense", () => {
    for (const search of [{}, { range: "soon" }, { range: "0h" }, { from: "x", to: "y" }, { from: "2026-01-02T00:00:00Z", to: "2026-01-01T00:00:00Z" }]) {
      expect(parseRange(search)).toEqual(DEFAULT_RANGE);
    }
  });

  it("resolves a relative range against the given now", () => {
    expect(resolveRange({ kind: "relative", seconds: 60 }, 100_000)).toEqual({ from: 40_000, to: 100_000 });
  });
});

describe("steps", () => {
  it("never asks for more points than wanted, nor for a finer step than the least", () => {
    for (const seconds of [60, 900, 3600, 86_400, 30 * 86_400]) {
      const step = stepFor({ from: 0, to: seconds * 1000 }, 240, 10);
      expect(seconds / step).toBeLessThanOrEqual(240);
      expect(step).toBeGreaterThanOrEqual(10);
    }
  });
});
