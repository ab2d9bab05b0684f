import { expect, test } from "vitest";
import { readProgress } from "./job-progress";

test("an import's progress is a share and counts", () => {
  const said = { created: 5, failed: 2, files: 1, length: 200, offset: 50, rows: 7 };
  expect(readProgress(said)).toEqual({
    share: 0.25,
    counts: [
      ["rows", 7],
      ["created", 5],
      ["failed", 2],
    ],
  });
});

test("a backup tells of how many tenants some are done", () => {
  expect(readProgress({ tenants: 1, of: 4, bytes: 10, backup: "bak_1" })).toEqual({
    share: 0.25,
    counts: [
      ["tenants", 1],
      ["bytes", 10],
    ],
  });
});

test("what says nothing that can be shown shows nothing", () => {
  for (const said of [undefined, null, "half", { length: 0, offset: 0 }]) expect(readProgress(said)).toEqual({ share: null, counts: [] });
});
