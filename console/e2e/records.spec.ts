import { expect, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { home } from "./owner";

const unique = Date.now().toString(36);
const organization = `Acme ${unique}`;
const project = `Customer portal ${unique}`;

test.describe.configure({ mode: "serial" });

test("an organization is made and found", async ({ page }) => {
  await page.goto(`${home}/organizations`);
  await page.getByRole("link", { name: "New organization" }).first().click();
  await page.getByRole("button", { name: "Create organization" }).click();
  await expect(page.getByText("This is needed.")).toBeVisible();
  await page.getByRole("textbox", { name: "Name" }).fill(organization);
  await page.getByRole("textbox", { name: "Contact", exact: true }).fill("Mia Chen");
  await expectAccessible(page);
  await page.getByRole("button", { name: "Create organization" }).click();
  await expect(page.getByRole("heading", { name: organization })).toBeVisible();
  await expectAccessible(page);
});

test("a project and its service are made, changed and deleted", async ({ page }) => {
  await page.goto(`${home}/projects`);
  await page.getByRole("link", { name: "New project" }).first().click();
  await page.getByRole("textbox", { name: "Name" }).fill(project);
  await page.getByRole("combobox", { name: "Organization" }).last().click();
  await page.getByRole("option", { name: organization }).click();
  await page.getByRole("button", { name: "Create project" }).click();
  await expect(page.getByRole("heading", { name: project })).toBeVisible();

  await page.getByRole("link", { name: "New service" }).click();
  await page.getByRole("textbox", { name: "Name" }).fill("api");
  await page.getByRole("textbox", { name: "Port" }).fill("99999");
  await page.getByRole("button", { name: "Create service" }).click();
  await expect(page.getByText("A number from 1 to 65535.")).toBeVisible();
  await page.getByRole("textbox", { name: "Port" }).fill("8080");
  await page.getByRole("combobox", { name: "Status" }).selectOption("running");
  await page.getByRole("button", { name: "Create service" }).click();
  const services = page.getByRole("region", { name: "Services" });
  await expect(services.getByRole("link", { name: "api" })).toBeVisible();
  await expect(services.getByText("Running")).toBeVisible();
  await expectAccessible(page);

  await services.getByRole("link", { name: "api" }).click();
  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByRole("combobox", { name: "Health" }).selectOption("critical");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { name: "api", exact: true })).toBeVisible();
  await expect(page.getByText("Critical", { exact: true })).toBeVisible();
  await expectAccessible(page);

  await page.getByRole("button", { name: "Delete" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete api?" });
  await expect(dialog.getByRole("button", { name: "Delete" })).toBeDisabled();
  await dialog.getByRole("textbox").fill("api");
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("No services yet")).toBeVisible();
});

test("a stale save shows both sides", async ({ page, request }) => {
  await page.goto(`${home}/projects`);
  await page.getByRole("link", { name: project }).click();
  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByRole("textbox", { name: "Description" }).fill("mine");
  await page.getByRole("textbox", { name: "Path" }).fill("/srv/mine");

  const id = /projects\/([^/]+)\/edit/.exec(page.url())?.[1] ?? "";
  const stored = await request.get(`/api/v1/projects/${id}`);
  const other = await request.patch(`/api/v1/projects/${id}`, {
    headers: { "if-match": stored.headers().etag ?? "", "content-type": "application/merge-patch+json", origin: new URL(page.url()).origin },
    data: JSON.stringify({ description: "theirs" }),
  });
  expect(other.status()).toBe(200);

  await page.getByRole("button", { name: "Save" }).click();
  const dialog = page.getByRole("dialog", { name: "Somebody else saved first" });
  await expect(dialog.getByRole("radio", { name: "mine" })).toBeChecked();
  await expectAccessible(page);
  await dialog.getByRole("radio", { name: "theirs" }).check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { name: project })).toBeVisible();
  await expect(page.getByText("theirs", { exact: true }).first()).toBeVisible();
  await expect(page.getByRole("definition").filter({ hasText: /^\/srv\/mine$/ })).toBeVisible();
});

test("a project is deleted by its typed name", async ({ page }) => {
  await page.goto(`${home}/projects`);
  await page.getByRole("link", { name: project }).click();
  await page.getByRole("button", { name: "Delete" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox").fill(project);
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByRole("heading", { name: "Projects", exact: true })).toBeVisible();
  await expect(page.getByRole("link", { name: project })).toHaveCount(0);
});

test("an API key's secret is shown once and works", async ({ page, playwright, baseURL }) => {
  await page.goto(`${home}/api-keys`);
  await page.getByRole("button", { name: "New API key" }).first().click();
  const form = page.getByRole("dialog", { name: "New API key" });
  await form.getByRole("textbox", { name: "Name" }).fill(`Backup ${unique}`);
  await form.getByRole("textbox", { name: "Permissions" }).fill("projects:read");
  await expectAccessible(page);
  await form.getByRole("button", { name: "Create key" }).click();
  const shown = page.getByRole("dialog", { name: "Your new API key" });
  const secret = (await shown.getByRole("group", { name: "Secret" }).textContent()) ?? "";
  expect(secret).toMatch(/^stw_/);
  await expectAccessible(page);
  await shown.getByRole("button", { name: "I have copied it" }).click();
  await expect(page.getByText(`Backup ${unique}`)).toBeVisible();

  const program = await playwright.request.newContext({ ...(baseURL ? { baseURL } : {}), extraHTTPHeaders: { authorization: `Bearer ${secret}` } });
  expect((await program.get("/api/v1/projects")).status()).toBe(200);
  expect((await program.get("/api/v1/devices")).status()).toBe(403);
  await program.dispose();
});
