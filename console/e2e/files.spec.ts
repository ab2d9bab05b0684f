import { readFile } from "node:fs/promises";
import { expect, type Page, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { home } from "./owner";

const unique = Date.now().toString(36);

test.describe.configure({ mode: "serial" });

function file(name: string, text: string) {
  return { name, mimeType: name.endsWith(".csv") ? "text/csv" : "application/x-ndjson", buffer: Buffer.from(text) };
}

async function exported(page: Page, format: string): Promise<{ name: string; text: string }> {
  await page.getByRole("button", { name: "Export" }).click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name: format }).click()]);
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), "utf8") };
}

test("a table is checked, then imported, and tells which rows were refused and why", async ({ page }) => {
  await page.goto(`${home}/projects`);
  await page.getByRole("link", { name: "Import", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Import" })).toBeVisible();
  await expect(page.getByRole("combobox", { name: "What the rows are" })).toHaveValue("project");
  await page.getByLabel("File").setInputFiles(file("projects.csv", `name,path\nDepot ${unique},/srv/depot\n,/srv/nameless\nQuay ${unique},/srv/quay\n`));
  await page.getByRole("button", { name: "Only check" }).click();
  await expect(page.getByText("Checked; nothing was written")).toBeVisible();
  const refused = page.getByRole("region", { name: "Refused rows" });
  await expect(refused.getByRole("row").filter({ hasText: "This field is required." })).toContainText("2");
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 800 });
    await expectAccessible(page);
  }
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByText("Imported", { exact: true })).toBeVisible();
  await page.goto(`${home}/projects?filter=${encodeURIComponent(`name:"${unique}"`)}`);
  await expect(page.getByRole("region", { name: "Projects" }).getByRole("link")).toHaveCount(2);
});

test("the filtered list is exported in both forms, and comes back as it was", async ({ page }) => {
  await page.goto(`${home}/projects?filter=${encodeURIComponent(`name:"depot ${unique}"`)}`);
  await expect(page.getByRole("link", { name: `Depot ${unique}` })).toBeVisible();
  const table = await exported(page, "CSV");
  expect(table.name).toBe("projects.csv");
  expect(table.text.trim().split("\n")).toHaveLength(2);
  expect(table.text).toContain("/srv/depot");
  const lines = await exported(page, "NDJSON");
  expect((JSON.parse(lines.text) as { name: string }).name).toBe(`Depot ${unique}`);

  await page.goto(`${home}/import?of=project`);
  await page.getByLabel("File").setInputFiles(file("projects.csv", table.text));
  await page.getByRole("button", { name: "Import", exact: true }).click();
  const outcome = page.getByRole("status").filter({ hasText: "Imported" });
  await expect(outcome).toContainText("Unchanged1");
});

test("a file that cannot be read says why", async ({ page }) => {
  await page.goto(`${home}/import?of=organization`);
  await page.getByRole("combobox", { name: "Rows name their records by" }).selectOption("slug");
  await page.getByLabel("File").setInputFiles(file("organizations.csv", "nam\nNobody\n"));
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText('The column "nam" is no field of these records.');
  await expectAccessible(page);
});

test("a long file becomes a job that is followed, with its refused rows", async ({ page }) => {
  const rows = Array.from({ length: 1500 }, (_, i) => `${i % 500 === 3 ? "" : `Rehearsed ${i}`},/srv/${i}`);
  await page.goto(`${home}/import?of=project`);
  await page.getByLabel("File").setInputFiles(file("many.csv", `name,path\n${rows.join("\n")}\n`));
  await page.getByRole("button", { name: "Only check" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Import rows" })).toBeVisible();
  await expect(page.getByText("Done", { exact: true })).toBeVisible({ timeout: 30_000 });
  await expect(page.getByRole("progressbar", { name: "Progress" })).toHaveAttribute("aria-valuenow", "100");
  const refused = page.getByRole("region", { name: "Refused rows" });
  await expect(refused.getByRole("row").filter({ hasText: "This field is required." })).toHaveCount(3);
  await expect(refused.getByText(",/srv/1003")).toBeVisible();
  await expectAccessible(page);
  const [download] = await Promise.all([page.waitForEvent("download"), refused.getByRole("link", { name: "Download all" }).click()]);
  expect((await readFile(await download.path(), "utf8")).trim().split("\n")).toHaveLength(3);
});
