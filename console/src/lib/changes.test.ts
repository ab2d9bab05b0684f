import { expect, test } from "vitest";
import { changesOf } from "./changes";

test("each field of either side is one change", () => {
  const data = { before: { path: "/srv", name: "Shop" }, after: { name: "Store", tags: ["a"] } };
  expect(changesOf(data)).toEqual([
    { field: "name", before: "Shop", after: "Store" },
    { field: "path", before: "/srv", after: null },
    { field: "tags", before: null, after: ["a"] },
  ]);
});

test("an event without sides changed no field", () => {
  expect(changesOf({ hostname: "vm" })).toEqual([]);
  expect(changesOf(null)).toEqual([]);
});
