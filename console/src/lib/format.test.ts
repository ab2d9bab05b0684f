import { describe, expect, it } from "vitest";
import { formatBytes, formatLogTime, formatPercent, formatRelative, formatUptime, toLocalInput, toSlug } from "./format";

describe("formatting", () => {
  it("writes sizes with binary units and at most one decimal", () => {
    expect(formatBytes(0, "en")).toBe("0 B");
    expect(formatBytes(1023, "en")).toBe("1,023 B");
    expect(formatBytes(1536, "en")).toBe("1.5 KiB");
    expect(formatBytes(32 * 2 ** 30, "en")).toBe("32 GiB");
    expect(formatBytes(1.5 * 2 ** 30, "de")).toBe("1,5 GiB");
    expect(formatBytes(2 ** 60, "en")).toBe("1,024 PiB");
  });

  it("never shows 1024 of a unit that has a larger one", () => {
    for (let power = 0; power < 50; power += 0.01) {
      const text = formatBytes(2 ** power, "en").replaceAll(",", "");
      expect(Number.parseFloat(text)).toBeLessThan(1024);
    }
  });

  it("writes shares in the reader's way", () => {
    expect(formatPercent(0.123, "en", 1)).toBe("12.3%");
    expect(formatPercent(0.123, "de")).toBe("12\u00a0%");
  });

  it("writes uptimes by their two largest units", () => {
    expect(formatUptime(0)).toBe("0s");
    expect(formatUptime(59.9)).toBe("59s");
    expect(formatUptime(3600)).toBe("1h");
    expect(formatUptime(90_061)).toBe("1d 1h");
  });

  it("writes relative times in both directions", () => {
    expect(formatRelative(0, 5000, "en")).toBe("5 sec. ago");
    expect(formatRelative(3 * 86_400_000, 0, "en")).toBe("in 3 days");
    expect(formatRelative(0, 119_000, "en")).toBe("1 min. ago");
  });

  it("gives log times one width and inputs the same instant back", () => {
    const time = new Date(2026, 0, 2, 3, 4, 5, 6).getTime();
    expect(formatLogTime(time)).toBe("2026-01-02 03:04:05.006");
    expect(Date.parse(toLocalInput(time))).toBe(time - 6);
  });

  it("makes slugs that the server accepts", () => {
    for (const name of ["Brandt & Söhne GmbH", "  --Acme--  ", "x".repeat(60), `${"a".repeat(39)} b`]) {
      expect(toSlug(name)).toMatch(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/);
    }
    expect(toSlug("Brandt & Söhne")).toBe("brandt-sohne");
  });
});
