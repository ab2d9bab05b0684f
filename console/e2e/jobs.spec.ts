import { type APIRequestContext, expect, type Page, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { home } from "./owner";

test.describe.configure({ mode: "serial" });

const origin = new URL(process.env.STEWARD_TEST_URL ?? process.env.STEWARD_URL ?? "").origin;
const rows = Array.from({ length: 200_000 }, (_, i) => `${JSON.stringify({ name: `Rehearsed ${i}` })}\n`).join("");

/** Checks many rows as a job and writes none. */
async function rehearse(api: APIRequestContext, headers: Record<string, string> = { origin }): Promise<string> {
  const answer = await api.post("/api/v1/projects/import?dry_run=true", { data: rows, headers: { ...headers, "content-type": "application/x-ndjson" } });
  expect(answer.status(), await answer.text()).toBe(202);
  return ((await answer.json()) as { job_id: string }).job_id;
}

/** An import whose sender loses the right to it while it is at work. */
async function killedJob(page: Page): Promise<string> {
  const made = await page.request.post("/api/v1/api-keys", { data: { name: "Short-lived", permissions: ["projects:write"] }, headers: { origin } });
  const key = (await made.json()) as { id: string; secret: string };
  const job = await rehearse(page.request, { authorization: `Bearer ${key.secret}` });
  expect((await page.request.delete(`/api/v1/api-keys/${key.id}`, { headers: { origin, "if-match": '"1"' } })).status()).toBe(204);
  const state = async () => ((await (await page.request.get(`/api/v1/jobs/${job}`)).json()) as { state: string }).state;
  await expect.poll(state, { timeout: 20_000 }).toBe("dead");
  return job;
}

test("dead jobs come first, say why, and can be queued again", async ({ page }) => {
  await killedJob(page);
  const other = await rehearse(page.request);
  await page.goto(home);
  await page.getByRole("link", { name: "Jobs" }).click();
  const jobs = page.getByRole("region", { name: "Jobs" });
  await expect(jobs.getByRole("row").nth(1)).toContainText("Dead");
  await expect(jobs.getByRole("row").filter({ hasText: /Running|Done/ })).not.toHaveCount(0);
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 800 });
    await expectAccessible(page);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByRole("combobox", { name: "State" }).selectOption("Dead");
  await expect(page).toHaveURL(/state=dead/);
  await expect(jobs.getByRole("row").filter({ hasText: "Done" })).toHaveCount(0);
  await jobs.getByRole("link", { name: "Import rows" }).first().click();
  await expect(page.getByRole("alert")).toContainText("invalid_credential");
  await expectAccessible(page);
  await page.getByRole("button", { name: "Queue again" }).click();
  await expect(page.getByText("The job is queued again")).toBeVisible();
  await page.request.post(`/api/v1/jobs/${other}/cancel`, { headers: { origin } });
});

test("a job's progress is followed live, and it is called off", async ({ page }) => {
  const job = await rehearse(page.request);
  await page.goto(`${home}/jobs/${job}`);
  const bar = page.getByRole("progressbar", { name: "Progress" });
  const share = async () => Number(await bar.getAttribute("aria-valuenow"));
  await expect(bar).toBeVisible();
  const before = await share();
  await expect.poll(share, { timeout: 20_000 }).toBeGreaterThan(before);
  await expectAccessible(page);
  await page.getByRole("button", { name: "Call off" }).click();
  await expect(page.getByText("Cancelled")).toBeVisible();
  const stopped = await share();
  expect(stopped).toBeLessThan(100);
  await page.getByRole("button", { name: "Queue again" }).click();
  await expect.poll(share, { timeout: 20_000, message: "it goes on where it was" }).toBeGreaterThan(stopped);
  await page.getByRole("button", { name: "Call off" }).click();
  await expect(page.getByText("Cancelled")).toBeVisible();
});

test("a job that is not there, and no jobs in a state, say so", async ({ page }) => {
  await page.goto(`${home}/jobs/job_00000000000000000000000000`);
  await expect(page.getByText("There is nothing here.")).toBeVisible();
  await page.route("**/api/v1/jobs?state=cancelled*", (route) => route.fulfill({ json: { data: [], next_cursor: null, has_more: false } }));
  await page.goto(`${home}/jobs?state=cancelled`);
  await expect(page.getByText("No jobs")).toBeVisible();
  await expectAccessible(page);
});
