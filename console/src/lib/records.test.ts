import { describe, expect, it } from "vitest";
import { allOf, equals, quote } from "./filter";
import { conflicts, mergePatch } from "./merge-patch";
import { allows } from "./permissions";
import { align, stack } from "./series";

describe("mergePatch", () => {
  it("sends only what changed, and null for what was emptied", () => {
    const before = { name: "a", port: 80, notes: "x", tags: ["p"] };
    expect(mergePatch(before, { name: "a", port: 81, notes: "", tags: ["p"] })).toEqual({ port: 81, notes: null });
  });

  it("does not call an absent field that stays empty a change", () => {
    expect(mergePatch({ name: "a" }, { name: "a", notes: "" })).toEqual({});
  });
});

describe("conflicts", () => {
  const base = { name: "a", port: 80, notes: "n", url: "u" };

  it("tells a clash from changes that go together", () => {
    const found = conflicts(base, { ...base, name: "theirs", port: 81 }, { name: "mine", notes: "m" });
    expect(found).toEqual([
      { field: "name", base: "a", theirs: "theirs", mine: "mine", clash: true },
      { field: "port", base: 80, theirs: 81, mine: 81, clash: false },
      { field: "notes", base: "n", theirs: "n", mine: "m", clash: false },
    ]);
  });

  it("finds no clash where both made the same change", () => {
    expect(conflicts(base, { ...base, name: "same" }, { name: "same" }).map((c) => c.clash)).toEqual([false]);
  });
});

describe("filters", () => {
  it("quotes what would end the text", () => {
    expect(quote('a "b" \\c')).toBe('"a \\"b\\" \\\\c"');
  });

  it("joins conditions without changing what each means", () => {
    expect(allOf(undefined, "", null)).toBeUndefined();
    expect(allOf(undefined, "a OR b")).toBe("a OR b");
    expect(allOf(equals("org", "x"), "a OR b", "timeout")).toBe('(org = "x") AND (a OR b) AND timeout');
  });
});

describe("allows", () => {
  it("reads wildcards, and lets deny win", () => {
    expect(allows({ allow: ["devices:read"], deny: [] }, "devices:read")).toBe(true);
    expect(allows({ allow: ["devices:*"], deny: [] }, "devices:write")).toBe(true);
    expect(allows({ allow: ["*:read"], deny: [] }, "logs:write")).toBe(false);
    expect(allows({ allow: ["admin:*"], deny: ["api-keys:write"] }, "api-keys:write")).toBe(false);
  });

  it("never takes admin for the operator's own resources", () => {
    expect(allows({ allow: ["admin:*"], deny: [] }, "tenants:read")).toBe(false);
  });
});

describe("series", () => {
  it("aligns by time and breaks the line where reports are missing", () => {
    const { x, y } = align([{ points: [[1000, 1], [2000, 2], [60_000, 3]] }, { points: [[2000, 9]] }], 1);
    expect(x).toEqual([1, 2, 2.001, 60]);
    expect(y).toEqual([
      [1, 2, null, 3],
      [null, 9, null, null],
    ]);
  });

  it("stacks from the first line up", () => {
    expect(stack([[1, 2], [3, 0], [1, 1]])).toEqual([[1, 2], [4, 2], [5, 3]]);
  });
});
