import { expect, type Page, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { home } from "./owner";

const name = `Chronicle ${Date.now().toString(36)}`;

test.describe.configure({ mode: "serial" });

const origin = () => ({ origin: new URL(process.env.STEWARD_TEST_URL ?? process.env.STEWARD_URL ?? "").origin });

async function makeProject(page: Page, data: object): Promise<string> {
  const answer = await page.request.post("/api/v1/projects", { data, headers: origin() });
  expect(answer.status(), await answer.text()).toBe(201);
  return ((await answer.json()) as { id: string }).id;
}

test("a record's page tells who changed what, and undoes the last change", async ({ page }) => {
  const id = await makeProject(page, { name, path: "/srv/one" });
  await page.goto(`${home}/projects/${id}/edit`);
  await page.getByRole("textbox", { name: "Path" }).fill("/srv/two");
  await page.getByRole("textbox", { name: "Description" }).fill("Told in order");
  await page.getByRole("button", { name: "Save" }).click();

  const history = page.getByRole("region", { name: "History" });
  const changed = history.getByRole("listitem").filter({ hasText: "Changed" });
  await expect(changed).toContainText("Ada Lovelace");
  await expect(changed.getByRole("deletion").filter({ hasText: "/srv/one" })).toBeVisible();
  await expect(changed.getByRole("insertion").filter({ hasText: "/srv/two" })).toBeVisible();
  await expect(changed.getByRole("insertion").filter({ hasText: "Told in order" })).toBeVisible();
  await expect(history.getByRole("listitem").filter({ hasText: "Created" })).toBeVisible();
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 800 });
    await expectAccessible(page);
  }

  await history.getByRole("button", { name: "Undo this change" }).click();
  await expect(page.getByText("The change was undone")).toBeVisible();
  await expect(page.getByRole("definition").filter({ hasText: /^\/srv\/one$/ })).toBeVisible();
  await expect(history.getByRole("listitem").filter({ hasText: "Changed" })).toHaveCount(2);
  await expect(history.getByRole("button", { name: "Undo this change" })).toHaveCount(1);
});

test("a change that was overtaken by another is not undone", async ({ page }) => {
  const id = await makeProject(page, { name: `${name} again` });
  const patch = async (path: string, revision: number) => {
    const headers = { ...origin(), "if-match": `"${revision}"`, "content-type": "application/merge-patch+json" };
    const answer = await page.request.patch(`/api/v1/projects/${id}`, { headers, data: JSON.stringify({ path }) });
    expect(answer.status()).toBe(200);
  };
  await patch("/srv/a", 1);
  // The page must not hear of the second change before the button is pressed.
  await page.route("**/api/v1/events/stream", (route) => route.abort());
  await page.goto(`${home}/projects/${id}`);
  const undo = page.getByRole("region", { name: "History" }).getByRole("button", { name: "Undo this change" });
  await expect(undo).toBeVisible();
  await patch("/srv/b", 2);
  await undo.click();
  await expect(page.getByText("The change could not be undone")).toBeVisible();
  await expectAccessible(page);
});

test("services, organizations and devices have their history too", async ({ page }) => {
  const project = await makeProject(page, { name: `${name} parts` });
  const make = async (collection: string, data: object) => {
    const answer = await page.request.post(`/api/v1/${collection}`, { data, headers: origin() });
    return ((await answer.json()) as { id: string }).id;
  };
  const service = await make("services", { name: "api", project_id: project });
  const organization = await make("organizations", { name: `${name} org` });
  const device = ((await (await page.request.get("/api/v1/devices?limit=1")).json()) as { data: { id: string }[] }).data[0]?.id;
  const places: [string, string][] = [
    [`projects/${project}/services/${service}`, "Created"],
    [`organizations/${organization}`, "Created"],
    [`devices/${device}?tab=history`, "Enrolled"],
  ];
  for (const [place, word] of places) {
    await page.goto(`${home}/${place}`);
    await expect(page.getByRole("region", { name: "History" }).getByRole("listitem").filter({ hasText: word })).toBeVisible();
    await expectAccessible(page);
  }
});
