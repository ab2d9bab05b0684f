import { describe, expect, it } from "vitest";
import { KeyRegistry } from "./keys";

function registry() {
  const keys = new KeyRegistry();
  const pressed: string[] = [];
  const add = (sequence: string) => keys.add({ keys: sequence, label: sequence, group: "g", run: () => pressed.push(sequence) });
  return { keys, pressed, add };
}

describe("KeyRegistry", () => {
  it("runs single keys and sequences", () => {
    const { keys, pressed, add } = registry();
    add("g d");
    add("/");
    expect(keys.press("g", 0)).toBe(true);
    expect(keys.press("d", 100)).toBe(true);
    expect(keys.press("/", 200)).toBe(true);
    expect(keys.press("x", 300)).toBe(false);
    expect(pressed).toEqual(["g d", "/"]);
  });

  it("forgets a sequence that takes too long", () => {
    const { keys, pressed, add } = registry();
    add("g d");
    keys.press("g", 0);
    expect(keys.press("d", 5000)).toBe(false);
    expect(pressed).toEqual([]);
  });

  it("takes a wrong second key as a first one", () => {
    const { keys, pressed, add } = registry();
    add("g d");
    add("j");
    keys.press("g", 0);
    keys.press("j", 10);
    expect(pressed).toEqual(["j"]);
  });

  it("lets the latest registration win while it lives", () => {
    const { keys, pressed, add } = registry();
    add("j");
    const remove = keys.add({ keys: "j", label: "inner", group: "g", run: () => pressed.push("inner") });
    keys.press("j", 0);
    remove();
    keys.press("j", 10);
    expect(pressed).toEqual(["inner", "j"]);
    expect(keys.list().map((s) => s.label)).toEqual(["j"]);
  });
});
