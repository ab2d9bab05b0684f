import { describe, expect, it } from "vitest";
import { shareOf, stepsOf } from "./saga-progress";

describe("stepsOf", () => {
  it("tells steps in their order, begun or not, with why one failed", () => {
    const steps = stepsOf({ saga: "delete_tenant", steps: { let_go: { state: "begun", failures: 1, error: "away" }, close: { state: "done", error: "once" } } });
    expect(steps.map((step) => [step.name, step.state, step.error])).toEqual([
      ["close", "done", null],
      ["let_go", "begun", "away"],
      ["erase", "waiting", null],
      ["forget", "waiting", null],
    ]);
    expect(shareOf(steps)).toBe(0.25);
  });

  it("tells of a saga that it does not know what is stored", () => {
    expect(stepsOf({ saga: "other", steps: { a: { state: "undone" } } })).toEqual([{ name: "a", state: "undone", error: null }]);
    expect(shareOf(stepsOf({ saga: "other" }))).toBe(0);
  });
});
