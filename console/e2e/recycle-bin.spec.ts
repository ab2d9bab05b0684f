import { expect, type Page, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { home } from "./owner";

const unique = Date.now().toString(36);

test.describe.configure({ mode: "serial" });

/** Makes a record as the signed-in page would. */
async function make(page: Page, collection: string, data: object): Promise<{ id: string }> {
  const answer = await page.request.post(`/api/v1/${collection}`, { data, headers: { origin: new URL(process.env.STEWARD_TEST_URL ?? page.url()).origin } });
  expect(answer.status(), await answer.text()).toBe(201);
  return (await answer.json()) as { id: string };
}

async function deleteByName(page: Page, name: string) {
  await page.getByRole("button", { name: "Delete" }).click();
  const dialog = page.getByRole("dialog", { name: `Delete ${name}?` });
  await dialog.getByRole("textbox").fill(name);
  await dialog.getByRole("button", { name: "Delete" }).click();
}

test("a deletion is undone from its toast, with what went along", async ({ page }) => {
  const [name, service] = [`Site ${unique}`, `site-${unique}`];
  const project = await make(page, "projects", { name });
  await make(page, "services", { name: service, project_id: project.id });
  await page.goto(`${home}/projects/${project.id}`);
  await deleteByName(page, name);
  await expect(page.getByRole("heading", { level: 1, name: "Projects" })).toBeVisible();
  const toast = page.getByRole("status").filter({ hasText: `${name} was deleted` });
  await expect(toast).toBeVisible();
  await expect(page.getByRole("link", { name })).toHaveCount(0);
  await expectAccessible(page);
  await toast.getByRole("button", { name: "Undo" }).click();
  await expect(page.getByText(`${name} is back`)).toBeVisible();
  await page.getByRole("link", { name }).click();
  await expect(page.getByRole("region", { name: "Services" }).getByRole("link", { name: service })).toBeVisible();
});

test("the key of the toast does the same; what was changed since is left alone and said", async ({ page }) => {
  const name = `Twice ${unique}`;
  const project = await make(page, "projects", { name });
  await page.goto(`${home}/projects/${project.id}`);
  await deleteByName(page, name);
  await expect(page.getByText(`${name} was deleted`)).toBeVisible();
  const stored = (await (await page.request.get("/api/v1/projects?deleted=true&limit=1")).json()) as { data: { id: string; revision: number }[] };
  expect(stored.data[0]?.id).toBe(project.id);
  const origin = new URL(page.url()).origin;
  const restored = await page.request.post(`/api/v1/projects/${project.id}/restore`, { headers: { origin, "if-match": `"${stored.data[0]?.revision}"` } });
  expect(restored.status()).toBe(200);
  await page.keyboard.press("z");
  await expect(page.getByText(`${name} could not be brought back`)).toBeVisible();
  await expectAccessible(page);
});

test("the recycle bin lists by kind who deleted what, and restores many at once", async ({ page }) => {
  const names = ["one", "two", "three"].map((word) => `Bin ${word} ${unique}`);
  await page.goto(home);
  const origin = new URL(page.url()).origin;
  for (const name of names) {
    const { id } = await make(page, "projects", { name });
    expect((await page.request.delete(`/api/v1/projects/${id}`, { headers: { origin, "if-match": '"1"' } })).status()).toBe(204);
  }
  await page.getByRole("link", { name: "Recycle bin" }).click();
  const bin = page.getByRole("region", { name: "Projects" });
  await page.getByRole("textbox", { name: "Filter Projects" }).fill(`name:"${unique}" AND deleted_at > now-1h`);
  await page.keyboard.press("Enter");
  await expect(bin.getByRole("row").filter({ hasText: "Ada Lovelace" })).toHaveCount(3);
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 800 });
    await expectAccessible(page);
  }
  await page.setViewportSize({ width: 1280, height: 800 });

  await bin.getByRole("button", { name: `Restore ${names[2]}` }).click();
  await expect(page.getByText("1 record is back")).toBeVisible();
  await page.getByRole("checkbox", { name: "All shown" }).check();
  await page.getByRole("button", { name: "Restore 2" }).click();
  await expect(page.getByText("2 records are back")).toBeVisible();
  await expect(page.getByText("Nothing matches")).toBeVisible();
  await page.goto(`${home}/projects?filter=${encodeURIComponent(`name:"${unique}"`)}`);
  for (const name of names) await expect(page.getByRole("link", { name })).toBeVisible();
});

test("what cannot come back says why and leaves the rest", async ({ page }) => {
  const project = await make(page, "projects", { name: `Shell ${unique}` });
  const service = `orphan-${unique}`;
  await make(page, "services", { name: service, project_id: project.id });
  await page.goto(home);
  const origin = new URL(page.url()).origin;
  expect((await page.request.delete(`/api/v1/projects/${project.id}`, { headers: { origin, "if-match": '"1"' } })).status()).toBe(204);
  await page.goto(`${home}/recycle-bin?kind=service`);
  await page.getByRole("button", { name: `Restore ${service}` }).click();
  await expect(page.getByRole("alert")).toContainText(service);
  await expectAccessible(page);
  await page.getByRole("tab", { name: "Projects" }).click();
  await expect(page).toHaveURL(/kind=project/);
  await page.getByRole("button", { name: `Restore Shell ${unique}` }).click();
  await expect(page.getByText("1 record is back")).toBeVisible();
});
