import { describe, expect, it } from "vitest";
import { payloadText, textPayload } from "./schedule-payload";

describe("what a scheduled job is told", () => {
  it("is days for the recycle bin", () => {
    expect(payloadText("empty_recycle_bin", { older_than_days: 0 })).toBe("0");
    expect(payloadText("empty_recycle_bin", undefined)).toBe("");
    expect(textPayload("empty_recycle_bin", "14", "verify_events")).toEqual({ older_than_days: 14 });
  });

  it("is a choice for backups, of which one that nobody made in the form stays", () => {
    expect(payloadText("back_up", {})).toBe("all");
    expect(textPayload("back_up", "all", "back_up")).toEqual({});
    expect(textPayload("back_up", payloadText("back_up", { keep: { last: 24, daily: 7, weekly: 5, monthly: 12 } }), "back_up")).toEqual({ keep: { last: 24, daily: 7, weekly: 5, monthly: 12 } });
    expect(textPayload("back_up", payloadText("back_up", { keep: { last: 3 } }), "back_up")).toEqual({ keep: { last: 3 } });
    expect(textPayload("back_up", "7", undefined)).toEqual({ keep: { last: 24, daily: 7, weekly: 5, monthly: 12 } });
  });

  it("stays as it is where the form does not know it, and goes with another job", () => {
    const text = payloadText("other", { a: { b: 1 } });
    expect(textPayload("other", text, "other")).toEqual({ a: { b: 1 } });
    expect(textPayload("verify_events", text, "other")).toEqual({});
    expect(textPayload("verify_events", payloadText("verify_events", {}), "verify_events")).toEqual({});
  });
});
