import { describe, expect, it } from "vitest";
import { formatSort, nextSort, parseSearch, parseSort, pickSearch, stringifySearch } from "./search";

describe("the URL's query", () => {
  it("round-trips filter text with every awkward character", () => {
    const filter = `name = "a&b=c #1 + 100 %" AND tags:prod OR note:"ü\\"x"`;
    expect(parseSearch(stringifySearch({ filter }))).toEqual({ filter });
  });

  it("leaves out what is empty", () => {
    expect(stringifySearch({ filter: "", sort: undefined, org: null, live: "1" })).toBe("?live=1");
    expect(stringifySearch({})).toBe("");
  });

  it("keeps text that looks like a number as text", () => {
    expect(parseSearch("?filter=5")).toEqual({ filter: "5" });
  });

  it("picks only the named, non-empty strings", () => {
    expect(pickSearch({ filter: "x", sort: "", other: "y", cols: 3 }, ["filter", "sort", "cols"])).toEqual({ filter: "x" });
  });
});

describe("sorting", () => {
  it("parses and prints both directions", () => {
    for (const text of ["name", "-created_at"]) expect(formatSort(parseSort(text))).toBe(text);
    expect(parseSort("-")).toBeNull();
    expect(parseSort(undefined)).toBeNull();
  });

  it("cycles ascending, descending, none, and starts anew on another column", () => {
    const first = nextSort(null, "name");
    const second = nextSort(first, "name");
    expect(first).toEqual({ field: "name", descending: false });
    expect(second).toEqual({ field: "name", descending: true });
    expect(nextSort(second, "name")).toBeNull();
    expect(nextSort(second, "status")).toEqual({ field: "status", descending: false });
  });
});
