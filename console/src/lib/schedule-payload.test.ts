import { describe, expect, it } from "vitest";
import { payloadText, textPayload } from "./schedule-payload";

describe("what a scheduled job is told", () => {
  it("is days for the recycle bin", () => {
    expect(payloadText("empty_recycle_bin", { older_than_days: 0 })).toBe("0");
    expect(payloadText("empty_recycle_bin", undefined)).toBe("");
    expect(textPayload("empty_recycle_bin", "14", "verify_events")).toEqual({ older_than_days: 14 });
  });

  it("stays as it is where the form does not know it, and goes with another job", () => {
    const text = payloadText("other", { a: { b: 1 } });
    expect(textPayload("other", text, "other")).toEqual({ a: { b: 1 } });
    expect(textPayload("verify_events", text, "other")).toEqual({});
    expect(textPayload("verify_events", payloadText("verify_events", {}), "verify_events")).toEqual({});
  });
});
