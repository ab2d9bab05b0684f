import { describe, expect, it } from "vitest";
import { readCron } from "./cron";

describe("readCron", () => {
  it("reads what people mostly mean", () => {
    expect(readCron("5 * * * *")).toEqual({ every: "hour", minute: 5 });
    expect(readCron("30 2 * * *")).toEqual({ every: "day", hour: 2, minute: 30 });
    expect(readCron(" 0  6 1 * * ")).toEqual({ every: "month", day: 1, hour: 6, minute: 0 });
    expect(readCron("0 6 * * 1-5")).toEqual({ every: "week", days: [1, 2, 3, 4, 5], hour: 6, minute: 0 });
    expect(readCron("0 6 * * SAT,7")).toEqual({ every: "week", days: [0, 6], hour: 6, minute: 0 });
  });

  it("leaves alone what takes more words, or is none", () => {
    for (const cron of ["*/5 * * * *", "0 6 1 * 1", "0 6 * 3 *", "0 6 L * *", "60 6 * * *", "0 24 * * *", "0 6 0 * *", "0 6 * * 5-1", "0 6 * * 1-2-3", "0 6 * *", "0 6 * * * *", ""]) {
      expect(readCron(cron), cron).toBeNull();
    }
  });
});
