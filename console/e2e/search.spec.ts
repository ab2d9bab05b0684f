import { expect, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { home } from "./owner";

const word = `zephyr${Date.now().toString(36)}`;

test.beforeAll(async ({ playwright, baseURL }, { project }) => {
  const { storageState } = project.use;
  const api = await playwright.request.newContext({ baseURL: baseURL ?? "", ...(storageState ? { storageState } : {}), extraHTTPHeaders: { origin: baseURL ?? "" } });
  const make = async (collection: string, data: object) => {
    const answer = await api.post(`/api/v1/${collection}`, { data });
    expect(answer.status(), await answer.text()).toBe(201);
    return (await answer.json()) as { id: string };
  };
  await make("organizations", { name: `${word} works`, contact_name: "Mia Chen" });
  const portal = await make("projects", { name: `Portal ${word}`, description: "Where customers sign in" });
  await make("services", { name: `${word}-api`, project_id: portal.id });
  await api.dispose();
});

test("the palette finds records of every kind and leads to them", async ({ page }) => {
  await page.goto(home);
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await page.keyboard.press("/");
  const input = page.getByPlaceholder("Go to, do, or find by name");
  await input.fill(word);
  const palette = page.getByRole("dialog", { name: "Search and commands" });
  for (const name of [`${word} works`, `Portal ${word}`, `${word}-api`]) await expect(palette.getByRole("button", { name })).toBeVisible();
  await expectAccessible(page);
  await palette.getByRole("button", { name: `${word}-api` }).click();
  await expect(page.getByRole("heading", { level: 1, name: `${word}-api` })).toBeVisible();

  await page.keyboard.press("Control+k");
  await input.fill(word);
  await palette.getByRole("button", { name: "Show all that is found" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Search" })).toBeVisible();
  await expect(page.getByRole("region", { name: "Organizations" }).getByRole("link", { name: `${word} works` })).toBeVisible();
});

test("the search page groups by kind, narrows, and keeps it in the address", async ({ page }) => {
  await page.goto(`${home}/search`);
  await expect(page.getByText("What are you looking for?")).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press("/");
  await page.keyboard.type(word);
  await page.keyboard.press("Enter");
  const projects = page.getByRole("region", { name: "Projects" });
  await expect(projects.getByText("Where customers sign in")).toBeVisible();
  await expect(page.getByRole("region", { name: "Services" })).toBeVisible();
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 800 });
    await expectAccessible(page);
  }

  await page.getByRole("combobox", { name: "Kind" }).selectOption("Projects");
  await expect(page.getByRole("region", { name: "Services" })).toHaveCount(0);
  await page.reload();
  await expect(page).toHaveURL(new RegExp(`q=${word}&kind=project`));
  await projects.getByRole("link", { name: `Portal ${word}` }).click();
  await expect(page.getByRole("heading", { level: 1, name: `Portal ${word}` })).toBeVisible();
});

test("a search that finds nothing and one that fails say so", async ({ page }) => {
  await page.goto(`${home}/search?q=nobodyiscalledlikethis`);
  await expect(page.getByText("Nothing found")).toBeVisible();
  await expectAccessible(page);
  await page.goto(`${home}/search?q=${"x".repeat(300)}`);
  await expect(page.getByRole("alert")).toContainText("The server refused this request.");
  await expectAccessible(page);

  await page.goto(home);
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await page.keyboard.press("Control+k");
  await page.getByPlaceholder("Go to, do, or find by name").fill("x".repeat(300));
  await expect(page.getByRole("dialog", { name: "Search and commands" }).getByRole("alert")).toContainText("The search failed");
});
