import { type BrowserContext, expect, type Page, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { operator, operatorHome } from "./operator";
import { home, owner } from "./owner";

const unique = Date.now().toString(36);
const name = `Grace Hopper ${unique}`;
const email = `grace-${unique}@example.com`;
const password = "a phrase that Grace alone knows";
const { origin } = new URL(process.env.STEWARD_TEST_URL ?? process.env.STEWARD_URL ?? "");

let operating: BrowserContext;

test.describe.configure({ mode: "serial" });

test.beforeAll(async ({ browser }) => {
  operating = await operator(browser);
});

test.afterAll(() => operating.close());

async function inBothWidths(page: Page) {
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    await expectAccessible(page);
  }
}

test("members are listed, and somebody new is added with a role", async ({ page }) => {
  await page.goto(home);
  await page.getByRole("link", { name: "Members" }).click();
  const list = page.getByRole("region", { name: "Members" });
  const own = list.getByRole("row").filter({ hasText: owner.name });
  await expect(own).toContainText("You");
  await expect(own).toContainText("Owner");
  await expect(own).toContainText(owner.email);
  await expect(page.getByRole("button", { name: "Make a password code" })).toHaveCount(0);
  await inBothWidths(page);

  await page.getByRole("button", { name: "Add a person" }).click();
  const form = page.getByRole("dialog", { name: "Add a person" });
  await form.getByRole("textbox", { name: "E-mail" }).fill(owner.email);
  await form.getByRole("textbox", { name: "Name" }).fill(name);
  await form.getByRole("combobox", { name: "Role" }).selectOption("Read-only");
  await expect(form.getByText("Sees everything, changes nothing.")).toBeVisible();
  await form.getByRole("button", { name: "Add" }).click();
  await expect(form.getByText("They are a member already.").first()).toBeVisible();
  await expectAccessible(page);
  await form.getByRole("textbox", { name: "E-mail" }).fill(email);
  await form.getByRole("button", { name: "Add" }).click();
  await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
  await expect(page.getByText(email)).toBeVisible();
  await expect(page.getByText("Read-only")).toBeVisible();
  await inBothWidths(page);
});

test("roles are changed, by nobody to leave a tenant without an owner", async ({ page }) => {
  await page.goto(`${home}/members`);
  await page.getByRole("link", { name }).click();
  await page.getByRole("button", { name: "Change roles" }).click();
  const dialog = page.getByRole("dialog", { name: `Roles of ${name}` });
  await expect(dialog.getByRole("checkbox", { name: "Read-only" })).toBeChecked();
  await expectAccessible(page);
  await dialog.getByRole("checkbox", { name: "Technician" }).check();
  await dialog.getByRole("checkbox", { name: "Read-only" }).uncheck();
  await dialog.getByRole("button", { name: "Save" }).click();
  const history = page.getByRole("region", { name: "History" });
  const changed = history.getByRole("listitem").filter({ hasText: "Changed" });
  await expect(changed).toContainText(owner.name);
  await expect(changed.getByRole("deletion")).toContainText("read-only");
  await expect(changed.getByRole("insertion")).toContainText("technician");

  await page.getByRole("link", { name: "Members" }).first().click();
  await page.getByRole("link", { name: owner.name }).click();
  await page.getByRole("button", { name: "Change roles" }).click();
  const own = page.getByRole("dialog", { name: `Roles of ${owner.name}` });
  await own.getByRole("checkbox", { name: "Admin" }).check();
  await own.getByRole("checkbox", { name: "Owner" }).uncheck();
  await own.getByRole("button", { name: "Save" }).click();
  await expect(own.getByRole("alert")).toContainText("make somebody owner first");
  await expectAccessible(page);
});

test("the operator makes a code, and its link sets a password once", async ({ browser }) => {
  const page = await operating.newPage();
  await page.goto(`${operatorHome}/members`);
  await page.getByRole("button", { name: "Make a password code" }).click();
  const form = page.getByRole("dialog", { name: "Make a password code" });
  await form.getByRole("textbox", { name: "E-mail" }).fill(`nobody-${unique}@example.com`);
  await form.getByRole("button", { name: "Make code" }).click();
  await expect(form.getByRole("alert")).toBeVisible();
  await expectAccessible(page);
  await form.getByRole("textbox", { name: "E-mail" }).fill(email);
  await form.getByRole("button", { name: "Make code" }).click();
  const made = page.getByRole("dialog", { name: `Password code for ${email}` });
  const code = (await made.getByRole("group", { name: "Secret" }).textContent()) ?? "";
  const link = (await made.getByRole("group", { name: "Link" }).textContent()) ?? "";
  await expect(made).toContainText("It is good once, until");
  await inBothWidths(page);
  await made.getByRole("button", { name: "I have copied it" }).click();
  await expect(made).toHaveCount(0);

  const theirs = await browser.newContext({ storageState: { cookies: [], origins: [] }, locale: "en-GB" });
  const entry = await theirs.newPage();
  await entry.goto(link);
  await expect(entry.getByRole("heading", { name: "Set your password" })).toBeVisible();
  await expect(entry.getByRole("textbox", { name: "Code" })).toHaveValue(code);
  await entry.getByLabel("New password").first().fill("short");
  await entry.getByRole("button", { name: "Set password" }).click();
  await expect(entry.getByText("At least 12 characters.")).toBeVisible();
  await inBothWidths(entry);
  await entry.getByLabel("New password").first().fill(password);
  await entry.getByRole("button", { name: "Set password" }).click();
  await expect(entry.getByRole("heading", { name: "Your password is set" })).toBeVisible();
  await expectAccessible(entry);
  await entry.getByRole("link", { name: "Sign in" }).click();
  await entry.getByRole("textbox", { name: "E-mail" }).fill(email);
  await entry.getByLabel("Password").first().fill(password);
  await entry.getByRole("button", { name: "Sign in" }).click();
  await expect(entry.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();

  // A technician sees who the members are and changes nothing of them.
  await entry.getByRole("link", { name: "Members" }).click();
  await entry.getByRole("link", { name: owner.name }).click();
  await expect(entry.getByText(owner.email)).toBeVisible();
  await expect(entry.getByRole("button", { name: "Change roles" })).toHaveCount(0);
  await expect(entry.getByRole("button", { name: "End membership" })).toHaveCount(0);

  await entry.goto("/console/sign-in");
  await entry.getByRole("link", { name: "I have a code" }).click();
  await entry.getByRole("textbox", { name: "Code" }).fill(code);
  await entry.getByLabel("New password").first().fill(password);
  await entry.getByRole("button", { name: "Set password" }).click();
  await expect(entry.getByRole("alert")).toContainText("used, expired or mistyped");
  await expectAccessible(entry);
  await theirs.close();
  await page.close();
});

test("a membership ends by the typed name", async ({ page }) => {
  const other = `Barbara Liskov ${unique}`;
  const data = { email: `barbara-${unique}@example.com`, name: other, roles: ["user"] };
  expect((await page.request.post("/api/v1/members", { data, headers: { origin } })).status()).toBe(201);
  await page.goto(`${home}/members`);
  await page.getByRole("link", { name: other }).click();
  await page.getByRole("button", { name: "End membership" }).click();
  const dialog = page.getByRole("dialog", { name: `End the membership of ${other}?` });
  await expect(dialog.getByRole("button", { name: "End membership" })).toBeDisabled();
  await expectAccessible(page);
  await dialog.getByRole("textbox").fill(other);
  await dialog.getByRole("button", { name: "End membership" }).click();
  await expect(page.getByText(`${other} is no member any more`)).toBeVisible();
  await expect(page.getByRole("region", { name: "Members" }).getByRole("link", { name: other })).toHaveCount(0);
});

test("whoever leaves a tenant is signed out of it", async ({ page, browser }) => {
  await page.goto(`${home}/members`);
  await page.getByRole("link", { name }).click();
  await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
  const member = page.url().split("/").at(-1);
  const roles = { data: { roles: ["admin"] }, headers: { origin } };
  expect((await page.request.post(`/api/v1/members/${member}/roles`, roles)).status()).toBe(200);
  const theirs = await browser.newContext({ baseURL: origin, storageState: { cookies: [], origins: [] }, locale: "en-GB" });
  expect((await theirs.request.post("/auth/login", { data: { email, password }, headers: { origin } })).status()).toBe(200);
  const own = await theirs.newPage();
  await own.goto(`${home}/members/${member}`);
  await own.getByRole("button", { name: "Leave this tenant" }).click();
  const dialog = own.getByRole("dialog", { name: `Leave ${owner.tenantName}?` });
  await dialog.getByRole("textbox").fill(name);
  await expectAccessible(own);
  await dialog.getByRole("button", { name: "Leave" }).click();
  await expect(own.getByRole("heading", { name: "Sign in", exact: true })).toBeVisible();
  await theirs.close();
  await page.getByRole("link", { name: "Members" }).first().click();
  await expect(page.getByRole("region", { name: "Members" }).getByRole("link", { name: owner.name })).toBeVisible();
  await expect(page.getByRole("region", { name: "Members" }).getByRole("link", { name })).toHaveCount(0);
});
