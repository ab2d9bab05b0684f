import { describe, expect, it } from "vitest";
import { positions } from "./scale";

const GIB = 2 ** 30;

describe("positions", () => {
  it("ends at a round value at or above the largest", () => {
    expect(positions(1, "decimal", 4)).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(positions(11.3, "decimal", 4)).toEqual([0, 5, 10, 15]);
    expect(positions(23.5 * GIB, "binary", 4)).toEqual([0, 8 * GIB, 16 * GIB, 24 * GIB]);
    expect(positions(135, "whole", 2)).toEqual([0, 100, 200]);
  });

  it("draws a scale where nothing was counted", () => {
    expect(positions(0, "whole", 2)).toEqual([0, 1]);
    expect(positions(0, "decimal", 4)).toEqual([0, 0.25, 0.5, 0.75, 1]);
  });

  it("is the same for its own top, so that labels and lines agree", () => {
    for (const values of ["decimal", "binary", "whole"] as const)
      for (const max of [0.003, 0.9, 1, 7, 12.4, 99, 1000, 123_456, 5e9]) {
        const found = positions(max, values, 4);
        expect(positions(found.at(-1) ?? 0, values, 4)).toEqual(found);
      }
  });
});
