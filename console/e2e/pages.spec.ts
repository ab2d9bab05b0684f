import { expect, type Page, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { home } from "./owner";

/** The first device's page; the main job's test has seen it enrol. */
async function devicePath(page: Page): Promise<string> {
  const answer = await page.request.get("/api/v1/devices?limit=1");
  const { data } = (await answer.json()) as { data: { id: string }[] };
  return `${home}/devices/${data[0]?.id}`;
}

const pages: { name: string; path: string | ((page: Page) => Promise<string>); heading: string | RegExp }[] = [
  { name: "overview", path: home, heading: "Overview" },
  { name: "organizations", path: `${home}/organizations`, heading: "Organizations" },
  { name: "new organization", path: `${home}/organizations/new`, heading: "New organization" },
  { name: "projects", path: `${home}/projects`, heading: "Projects" },
  { name: "new project", path: `${home}/projects/new`, heading: "New project" },
  { name: "devices", path: `${home}/devices`, heading: "Devices" },
  { name: "add a device", path: `${home}/devices/add`, heading: "Add a device" },
  { name: "device", path: devicePath, heading: /.+/ },
  { name: "device logs", path: async (page) => `${await devicePath(page)}?tab=logs`, heading: /.+/ },
  { name: "device details", path: async (page) => `${await devicePath(page)}?tab=details`, heading: /.+/ },
  { name: "edit device", path: async (page) => `${await devicePath(page)}/edit`, heading: /Edit .+/ },
  { name: "logs", path: `${home}/logs`, heading: "Logs" },
  { name: "live logs", path: `${home}/logs?live=1`, heading: "Logs" },
  { name: "activity", path: `${home}/activity`, heading: "Activity" },
  { name: "members", path: `${home}/members`, heading: "Members" },
  { name: "a member who is not there", path: `${home}/members/mem_00000000000000000000000000`, heading: "Member" },
  { name: "schedules", path: `${home}/schedules`, heading: "Schedules" },
  { name: "new schedule", path: `${home}/schedules/new`, heading: "New schedule" },
  { name: "setting a password with a code", path: "/console/sign-in/code", heading: "Set your password" },
  { name: "API keys", path: `${home}/api-keys`, heading: "API keys" },
  { name: "enrolment tokens", path: `${home}/enrollment-tokens`, heading: "Enrolment tokens" },
  { name: "a filter that nothing passes", path: `${home}/devices?filter=${encodeURIComponent('name = "no such device"')}`, heading: "Devices" },
  { name: "a filter that cannot be read", path: `${home}/devices?filter=${encodeURIComponent("((")}`, heading: "Devices" },
  { name: "a record that is not there", path: `${home}/projects/prj_00000000000000000000000000`, heading: "Project" },
  { name: "no such page", path: `${home}/nowhere`, heading: "Page not found" },
  { name: "another tenant", path: "/console/somebody-else", heading: "Another tenant" },
];

for (const { name, path, heading } of pages) {
  test(`${name}: axe and width, wide and narrow`, async ({ page }) => {
    const address = typeof path === "string" ? path : await path(page);
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 800 });
      await page.goto(address);
      await expect(page.getByRole("heading", { level: 1, name: heading })).toBeVisible();
      await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
      await expectAccessible(page);
    }
  });
}

test("keys lead everywhere and the sheet lists them", async ({ page }) => {
  await page.goto(home);
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("d");
  await expect(page.getByRole("heading", { level: 1, name: "Devices" })).toBeVisible();
  await expect(page.getByRole("region", { name: "Devices" }).getByRole("link").first()).toBeVisible();
  await page.keyboard.press("j");
  await expect(page.getByRole("region", { name: "Devices" }).getByRole("link").first()).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("tab", { name: "Metrics" })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("l");
  await expect(page.getByRole("heading", { level: 1, name: "Logs" })).toBeVisible();
  await page.keyboard.press("/");
  await expect(page.getByRole("textbox", { name: "Filter log lines" })).toBeFocused();
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  const sheet = page.getByRole("dialog", { name: "Keyboard shortcuts" });
  await expect(sheet.getByText("Enrolment tokens")).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await expect(sheet).toBeHidden();
});

test("the palette goes to places", async ({ page }) => {
  await page.goto(home);
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await page.keyboard.press("Control+k");
  const input = page.getByPlaceholder("Go to, do, or find by name");
  await expect(input).toBeFocused();
  await input.fill("activ");
  await expectAccessible(page);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Activity" })).toBeVisible();
});

test("theme and language are remembered", async ({ page }) => {
  await page.goto(home);
  await page.getByRole("button", { name: "Account" }).click();
  await expectAccessible(page);
  await page.getByRole("menuitemradio", { name: "Dark" }).click();
  await page.getByRole("button", { name: "Account" }).click();
  await page.getByRole("menuitemradio", { name: "Deutsch" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Übersicht" })).toBeVisible();
  await page.reload();
  await expect(page.locator("html")).toHaveAttribute("data-mantine-color-scheme", "dark");
  await expect(page.locator("html")).toHaveAttribute("lang", "de");
  await expect(page.getByRole("heading", { level: 1, name: "Übersicht" })).toBeVisible();
});

test("the pseudo language finds no text that was left out", async ({ page }) => {
  await page.addInitScript(() => localStorage.setItem("steward-locale", "pseudo"));
  for (const address of [`${home}/devices/add`, `${home}/members`, `${home}/schedules/new`, "/console/sign-in/code"]) {
    await page.goto(address);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
    const plain = await page.locator("nav a, h1, label, main button").evaluateAll((elements) =>
      elements.map((e) => e.textContent ?? "").filter((text) => /^[\x20-\x7e]+$/.test(text) && /[a-z]{3}/i.test(text)),
    );
    expect(plain, address).toEqual([]);
  }
});

test("the organization narrows every list and stays in the address", async ({ page }) => {
  await page.goto(`${home}/devices?org=org_00000000000000000000000000`);
  await expect(page.getByText("No devices yet").or(page.getByText("Nothing matches"))).toBeVisible();
  await page.getByRole("link", { name: "Projects" }).click();
  await expect(page).toHaveURL(/projects\?org=org_0/);
});
