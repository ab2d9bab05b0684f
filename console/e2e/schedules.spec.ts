import { expect, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { home } from "./owner";

const name = `Bin ${Date.now().toString(36)}`;

test.describe.configure({ mode: "serial" });
test.use({ timezoneId: "Europe/Berlin" });

test("a schedule says in words when it is due, and what is wrong with it", async ({ page }) => {
  await page.goto(home);
  await page.getByRole("link", { name: "Schedules" }).click();
  await page.getByRole("link", { name: "New schedule" }).first().click();
  await page.getByRole("textbox", { name: "Name" }).fill(name);
  await expect(page.getByRole("combobox", { name: "Job" })).toHaveValue("empty_recycle_bin");
  await expect(page.getByRole("combobox", { name: "Time zone" })).toHaveValue("Europe/Berlin");
  await expect(page.getByText(/^Every day at 2:30\sAM$/)).toBeVisible();
  await page.getByRole("textbox", { name: "When" }).fill("0 6 * * 1-5");
  await expect(page.getByText(/^From Monday to Friday at 6:00\sAM$/)).toBeVisible();
  await page.getByRole("textbox", { name: "Days in the recycle bin" }).fill("31");
  await page.getByRole("textbox", { name: "When" }).fill("soon enough");
  await page.getByRole("button", { name: "Create schedule" }).click();
  await expect(page.getByText("A whole number from 0 to 30.")).toBeVisible();
  await page.getByRole("textbox", { name: "Days in the recycle bin" }).fill("14");
  await page.getByRole("button", { name: "Create schedule" }).click();
  await expect(page.getByText(/Five fields are expected/).first()).toBeVisible();
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    await expectAccessible(page);
  }
  await page.getByRole("textbox", { name: "When" }).fill("15 4 * * 6,0");
  await page.getByRole("button", { name: "Create schedule" }).click();
  await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
  const facts = page.getByRole("definition");
  await expect(facts.filter({ hasText: /^Empty the recycle bin$/ })).toBeVisible();
  await expect(facts.filter({ hasText: /^Every Sunday and Saturday at 4:15\sAM$/ })).toBeVisible();
  await expect(facts.filter({ hasText: /^14$/ })).toBeVisible();
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    await expectAccessible(page);
  }
});

test("it is turned off and on, and made to start another job", async ({ page }) => {
  await page.goto(`${home}/schedules`);
  const row = page.getByRole("region", { name: "Schedules" }).getByRole("row").filter({ hasText: name });
  await expect(row).toContainText("Turned on");
  await expectAccessible(page);
  await row.getByRole("link", { name }).click();
  await page.getByRole("button", { name: "Turn off" }).click();
  await expect(page.getByText("Turned off")).toBeVisible();
  await page.getByRole("link", { name: "Edit" }).click();
  await expect(page.getByRole("textbox", { name: "Days in the recycle bin" })).toHaveValue("14");
  await page.getByRole("combobox", { name: "Job" }).selectOption("Verify the event chain");
  await expect(page.getByRole("textbox", { name: "Days in the recycle bin" })).toHaveCount(0);
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("definition").filter({ hasText: /^Verify the event chain$/ })).toBeVisible();
  await expect(page.getByText("Turned off")).toBeVisible();
  const stored = (await (await page.request.get(`/api/v1/schedules/${page.url().split("/").at(-1)}`)).json()) as { payload: object };
  expect(stored.payload).toEqual({});
  const history = page.getByRole("region", { name: "History" });
  await expect(history.getByRole("listitem").filter({ hasText: "Changed" })).toHaveCount(2);
  await expect(history.getByRole("button", { name: "Undo this change" })).toHaveCount(0);
  await page.getByRole("button", { name: "Turn on" }).click();
  await expect(page.getByRole("button", { name: "Turn off" })).toBeVisible();
});

test("it is deleted by its typed name", async ({ page }) => {
  await page.goto(`${home}/schedules`);
  await page.getByRole("link", { name }).click();
  await page.getByRole("button", { name: "Delete" }).click();
  const dialog = page.getByRole("dialog", { name: `Delete ${name}?` });
  await dialog.getByRole("textbox").fill(name);
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Schedules" })).toBeVisible();
  await expect(page.getByText("No schedules yet")).toBeVisible();
  await expectAccessible(page);
});
