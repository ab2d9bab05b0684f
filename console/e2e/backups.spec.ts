import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type BrowserContext, expect, type Page, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { operator, operatorHome } from "./operator";
import { home } from "./owner";

let operating: BrowserContext;
let page: Page;

test.describe.configure({ mode: "serial" });

test.beforeAll(async ({ browser }) => {
  operating = await operator(browser);
  page = await operating.newPage();
});

test.afterAll(() => operating.close());

async function inBothWidths() {
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    await expectAccessible(page);
  }
}

test("only the operator's tenant shows backups", async ({ page: own }) => {
  await own.goto(`${home}/backups`);
  await expect(own.getByText("You may not see this")).toBeVisible();
  await expectAccessible(own);
});

test("a backup is made, followed, seen and read again", async () => {
  await page.goto(operatorHome);
  await page.getByRole("link", { name: "Backups" }).click();
  await expect(page.getByText("No backups yet")).toBeVisible();
  await expect(page.getByText("No schedule makes backups")).toBeVisible();
  await inBothWidths();
  await page.getByRole("button", { name: "Back up now" }).first().click();
  await expect(page.getByText("The last backup is recent")).toBeVisible({ timeout: 30_000 });
  const row = page.getByRole("region", { name: "Backups" }).getByRole("row").nth(1);
  await expect(row).toContainText("Complete");
  await expect(row).toContainText("Everything");
  await inBothWidths();
  await row.getByRole("link").click();
  await expect(page.getByRole("heading", { level: 1, name: /^Backup of / })).toBeVisible();
  await expect(page.getByRole("region", { name: "What is in it" }).getByRole("row").filter({ hasText: "northwind-it" })).toBeVisible();
  await page.getByRole("button", { name: "Verify" }).click();
  await expect(page.getByText("Verified", { exact: true }).first()).toBeVisible({ timeout: 30_000 });
  await inBothWidths();
});

test("backups are put on a schedule", async () => {
  await page.goto(`${operatorHome}/backups`);
  await page.getByRole("link", { name: "Back up regularly" }).click();
  await expect(page.getByRole("combobox", { name: "Job" })).toHaveValue("back_up");
  await page.getByRole("textbox", { name: "Name" }).fill("Nightly backup");
  await page.getByRole("combobox", { name: "Backups that stay" }).selectOption("All of them");
  await expectAccessible(page);
  await page.getByRole("combobox", { name: "Backups that stay" }).selectOption("Many new ones, fewer old ones");
  await page.getByRole("button", { name: "Create schedule" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Nightly backup" })).toBeVisible();
  const stored = (await (await page.request.get(`/api/v1/schedules/${page.url().split("/").at(-1)}`)).json()) as { payload: object };
  expect(stored.payload).toEqual({ keep: { last: 24, daily: 7, weekly: 5, monthly: 12 } });
  await page.goto(`${operatorHome}/backups`);
  await expect(page.getByRole("region", { name: "By the clock" })).toContainText("Nightly backup");
  await expect(page.getByRole("link", { name: "Back up regularly" })).toHaveCount(0);
  await inBothWidths();
});

test("a backup that is old is warned of", async ({ browser }) => {
  // In a browser of its own: the clock is set for all of its pages.
  const elsewhere = await operator(browser);
  const later = await elsewhere.newPage();
  await later.clock.setFixedTime(Date.now() + 3 * 86_400_000);
  await later.goto(`${operatorHome}/backups`);
  await expect(later.getByText("The last backup is old")).toBeVisible();
  await expectAccessible(later);
  await elsewhere.close();
});

test("a backup that lost parts says so", async () => {
  const parts = join(process.env.STEWARD_BACKUP_DIR ?? "", "platform", "backup-parts");
  for (const part of await readdir(parts)) await rm(join(parts, part));
  await page.getByRole("region", { name: "Backups" }).getByRole("link").first().click();
  await expect(page.getByText("This backup does not hold")).toBeVisible();
  await page.getByRole("button", { name: "Verify" }).click();
  await expect(page.getByText("Verify a backup: failed")).toBeVisible({ timeout: 30_000 });
  await inBothWidths();
  await page.getByRole("link", { name: "Backups" }).first().click();
  await expect(page.getByText("There is no good backup of everything")).toBeVisible();
  await expect(page.getByRole("region", { name: "Backups" }).getByRole("row").nth(1)).toContainText("Damaged");
  await inBothWidths();
});
