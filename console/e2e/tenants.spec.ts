import { readFile } from "node:fs/promises";
import { type BrowserContext, expect, type Page, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { operator, operatorHome } from "./operator";
import { home, owner } from "./owner";

const unique = Date.now().toString(36);
const slug = `harbour-${unique}`;
const name = `Harbour ${unique}`;
const passphrase = "schlüssel für den Hafen";

let operating: BrowserContext;
let page: Page;
let file: Buffer;

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

async function more(item: string) {
  await page.getByRole("button", { name: "More" }).click();
  await expectAccessible(page);
  await page.getByRole("menuitem", { name: item }).click();
}

test("only the operator's tenant shows tenants", async ({ page: own }) => {
  await own.goto(`${home}/tenants`);
  await expect(own.getByText("You may not see this")).toBeVisible();
  await expect(own.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Tenants" })).toHaveCount(0);
  await expectAccessible(own);
});

test("a tenant is made, and its first owner with a code for their password", async () => {
  await page.goto(operatorHome);
  await page.getByRole("link", { name: "Tenants" }).click();
  const list = page.getByRole("region", { name: "Tenants" });
  await expect(list.getByRole("row").filter({ hasText: owner.tenantName })).toContainText("Active");
  await inBothWidths();
  await page.getByRole("link", { name: "New tenant" }).click();
  await page.getByRole("textbox", { name: "Name" }).fill(name);
  await page.getByRole("textbox", { name: "Address" }).fill("Not an address");
  await page.getByRole("button", { name: "Create tenant" }).click();
  await expect(page.getByText("Two to forty lowercase letters, digits and hyphens.")).toBeVisible();
  await page.getByRole("textbox", { name: "Address" }).fill(owner.slug);
  await page.getByRole("button", { name: "Create tenant" }).click();
  await expect(page.getByRole("alert")).toContainText("Choose another");
  await expectAccessible(page);
  await page.getByRole("textbox", { name: "Address" }).fill(slug);
  await page.getByRole("button", { name: "Create tenant" }).click();
  await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
  await expect(page.getByText("Active", { exact: true })).toBeVisible();
  await inBothWidths();

  await page.getByRole("button", { name: "Add a person" }).click();
  const form = page.getByRole("dialog", { name: `Add a person to ${name}` });
  await expect(form.getByRole("combobox", { name: "Role" })).toHaveValue("owner");
  await form.getByRole("textbox", { name: "E-mail" }).fill(`${slug}@example.com`);
  await form.getByRole("textbox", { name: "Name" }).fill("Harbour Master");
  await form.getByRole("button", { name: "Add" }).click();
  const code = page.getByRole("dialog", { name: "Make a password code" });
  await expect(code.getByRole("textbox", { name: "E-mail" })).toHaveValue(`${slug}@example.com`);
  await code.getByRole("button", { name: "Make code" }).click();
  await page.getByRole("button", { name: "I have copied it" }).click();
});

test("a tenant is suspended and resumed", async () => {
  await page.getByRole("button", { name: "Suspend" }).click();
  const dialog = page.getByRole("dialog", { name: `Suspend ${name}?` });
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Suspend" }).click();
  await expect(page.getByText("Suspended", { exact: true })).toBeVisible();
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByText("Active", { exact: true })).toBeVisible();
});

test("it moves only to a place that there is", async () => {
  await more("Move to another place");
  const dialog = page.getByRole("dialog", { name: `Move ${name}` });
  await dialog.getByRole("textbox", { name: "Place" }).fill("nowhere");
  await dialog.getByRole("button", { name: "Move" }).click();
  await expect(dialog.getByRole("alert")).toBeVisible();
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Cancel" }).click();
});

test("it is exported as a file, erased by its typed address, and taken in again", async () => {
  await more("Export to a file");
  const dialog = page.getByRole("dialog", { name: `Export ${name}` });
  await dialog.getByLabel("Passphrase").first().fill("too short");
  await dialog.getByRole("button", { name: "Export" }).click();
  await expect(dialog.getByText("At least 12 characters.")).toBeVisible();
  await expectAccessible(page);
  await dialog.getByLabel("Passphrase").first().fill(passphrase);
  const [download] = await Promise.all([page.waitForEvent("download"), dialog.getByRole("button", { name: "Export" }).click()]);
  expect(download.suggestedFilename()).toBe(`${slug}.steward-tenant`);
  file = await readFile(await download.path());
  expect(file.length).toBeGreaterThan(1000);

  await more("Erase");
  const erasing = page.getByRole("dialog", { name: `Erase ${name}?` });
  await expect(erasing.getByRole("button", { name: "Erase for good" })).toBeDisabled();
  await expectAccessible(page);
  await erasing.getByRole("textbox").fill(slug);
  await erasing.getByRole("button", { name: "Erase for good" }).click();
  await expect(page.getByText(`${name} is erased`)).toBeVisible({ timeout: 30_000 });
  await expectAccessible(page);
  await page.getByRole("link", { name: "All tenants" }).click();
  await expect(page.getByRole("region", { name: "Tenants" }).getByRole("link", { name })).toHaveCount(0);

  await page.getByRole("link", { name: "Take in from a file" }).click();
  await page.getByLabel("File").setInputFiles({ name: "harbour.steward-tenant", mimeType: "application/octet-stream", buffer: file });
  await page.getByLabel("Passphrase").first().fill("not the passphrase at all");
  await page.getByRole("button", { name: "Take in" }).click();
  await expect(page.getByRole("alert")).toBeVisible({ timeout: 30_000 });
  await inBothWidths();
  await page.getByLabel("Passphrase").first().fill(passphrase);
  await page.getByRole("button", { name: "Take in" }).click();
  await expect(page.getByRole("region", { name: "Take the tenant in" })).toContainText("Done", { timeout: 30_000 });
  await inBothWidths();
  await page.getByRole("link", { name: "Open the tenant" }).click();
  await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
  await expect(page.getByText("Active", { exact: true })).toBeVisible();
  await expect(page.getByRole("region", { name: "Take the tenant in" })).toContainText("Let requests in");
});

test("the operator's own tenant cannot be suspended or erased", async () => {
  await page.goto(`${operatorHome}/tenants`);
  await page.getByRole("region", { name: "Tenants" }).getByRole("link", { name: "Operator" }).click();
  await expect(page.getByText("Where the installation itself is looked after.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Suspend" })).toHaveCount(0);
  await expect(page.getByRole("button", { name: "More" })).toHaveCount(0);
  await expectAccessible(page);
});
