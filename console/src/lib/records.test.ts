import { describe, expect, it } from "vitest";
import { asTyped, blank, type FieldValue, toTexts, toValues } from "./field-values";
import { allOf, equals, quote } from "./filter";
import { conflicts, mergePatch } from "./merge-patch";
import { allows } from "./permissions";
import { align, stack } from "./series";

describe("mergePatch", () => {
  it("sends only what changed, and null for what was emptied", () => {
    const before = { name: "a", port: 80, notes: "x", tags: ["p"] };
    expect(mergePatch(before, { name: "a", port: 81, notes: "", tags: ["p"] })).toEqual({ port: 81, notes: null });
  });

  it("says what an object no longer has", () => {
    expect(mergePatch({ payload: { days: 7, kept: 1 } }, { payload: { kept: 1 } })).toEqual({ payload: { days: null } });
    expect(mergePatch({ payload: {} }, { payload: { days: 7 } })).toEqual({ payload: { days: 7 } });
    expect(mergePatch({ payload: { days: 7 } }, { payload: { days: 7 } })).toEqual({});
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

describe("field values", () => {
  const fields: FieldValue[] = [
    { name: "name" },
    { name: "port", kind: "number" },
    { name: "tags", kind: "list" },
    { name: "permissions", kind: "words" },
    { name: "status", kind: "choice", initial: "unknown" },
    { name: "deployed", kind: "moment" },
  ];
  const record = { id: "x", name: "a", port: 80, tags: ["in use", "b"], permissions: ["a:read", "b:*"], status: "up", deployed: "2026-11-20T10:30:00.250Z" };

  it("shows a record and stores what was typed", () => {
    const texts = toTexts(fields, record);
    expect(texts).toMatchObject({ name: "a", port: "80", tags: "in use, b", permissions: "a:read\nb:*", status: "up" });
    expect(toValues(fields, { ...texts, port: "", tags: " b ,, b,in use", permissions: "c:read, d:read" })).toEqual({
      name: "a",
      port: null,
      tags: ["b", "in use"],
      permissions: ["c:read", "d:read"],
      status: "up",
      deployed: "2026-11-20T10:30:00.000Z",
    });
  });

  it("calls nothing a change that nobody typed", () => {
    for (const stored of [record, { id: "x", name: "a" }]) {
      const base = asTyped(fields, stored);
      expect(mergePatch(base, toValues(fields, toTexts(fields, stored)))).toEqual({});
      expect(base.id).toBe("x");
    }
  });

  it("begins with what is usual, and makes the values that need more than their text", () => {
    const days: FieldValue = { name: "ends", kind: "choice", initial: "30", toValue: (text) => `in ${text} days` };
    expect(blank([...fields, days])).toMatchObject({ name: "", status: "unknown", ends: "30" });
    expect(toValues([days], blank([days]))).toEqual({ ends: "in 30 days" });
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
