import { describe, expect, it } from "vitest";
import { EventParser } from "./sse";

const WIRE = 'retry: 500\n\n: beat\n\nevent: log\nid: 7\ndata: {"a":1}\n\ndata: one\ndata:two\n\nid: 8\nevent: skipped\ndata: {"count":3}\n\n';
const EVENTS = [
  { event: "log", id: "7", data: '{"a":1}' },
  { event: "message", id: "7", data: "one\ntwo" },
  { event: "skipped", id: "8", data: '{"count":3}' },
];

describe("EventParser", () => {
  it("reads names, ids, several data lines, comments and retry", () => {
    const parser = new EventParser();
    expect(parser.push(WIRE)).toEqual(EVENTS);
    expect(parser.retry).toBe(500);
  });

  it("reads the same however the stream is cut, with each kind of line end", () => {
    for (const end of ["\n", "\r\n", "\r"]) {
      const wire = WIRE.replaceAll("\n", end);
      for (let size = 1; size < 9; size += 1) {
        const parser = new EventParser();
        const found = [];
        for (let at = 0; at < wire.length; at += size) found.push(...parser.push(wire.slice(at, at + size)));
        expect(found).toEqual(EVENTS);
      }
    }
  });

  it("gives nothing for an event that has not ended", () => {
    expect(new EventParser().push("data: half")).toEqual([]);
  });
});
