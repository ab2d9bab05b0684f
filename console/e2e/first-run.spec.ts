import { expect, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { home, owner, session } from "./owner";

test.describe.configure({ mode: "serial" });

test("an unset server explains how to get in", async ({ page }) => {
  await page.goto("/console/");
  await expect(page.getByRole("heading", { name: "This server is new", exact: true })).toBeVisible();
  await expect(page.getByText("steward setup-link")).toBeVisible();
  await expectAccessible(page);
});

test("the set-up link makes the owner", async ({ page }) => {
  const link = process.env.STEWARD_TEST_SETUP_LINK ?? process.env.STEWARD_SETUP_LINK;
  expect(link, "STEWARD_TEST_SETUP_LINK").toBeTruthy();
  await page.goto(link ?? "");
  await expect(page.getByRole("heading", { name: "Set up Steward", exact: true })).toBeVisible();
  await expectAccessible(page);

  await page.getByRole("button", { name: "Create owner and tenant" }).click();
  await expect(page.getByText("This is not an e-mail address.")).toBeVisible();
  await expectAccessible(page);

  await page.getByRole("textbox", { name: "E-mail" }).fill(owner.email);
  await page.getByRole("textbox", { name: "Your name" }).fill(owner.name);
  await page.getByLabel("Password", { exact: false }).first().fill(owner.password);
  await page.getByRole("textbox", { name: "Tenant name" }).fill(owner.tenantName);
  await expect(page.getByRole("textbox", { name: "Tenant address" })).toHaveValue(owner.slug);
  await page.getByRole("button", { name: "Create owner and tenant" }).click();

  await expect(page.getByRole("heading", { name: "Overview", exact: true })).toBeVisible();
  await expect(page).toHaveURL(new RegExp(`${home}$`));
  await page.context().storageState({ path: session });
});

test.describe("the main job", () => {
  test.use({ storageState: session });

  test("this machine's CPU curve moves within a minute", async ({ page }) => {
    test.setTimeout(120_000);
    await page.goto(`${home}/devices`);
    const row = page.getByRole("region", { name: "Devices" }).getByRole("link").first();
    await expect(row).toBeVisible({ timeout: 60_000 });
    await row.click();
    const curve = page.getByRole("region", { name: "CPU", exact: true }).getByRole("img");
    await expect(curve).toBeVisible({ timeout: 60_000 });
    const newest = async () => Number(await curve.getAttribute("data-newest"));
    const before = await newest();
    await expect.poll(newest, { timeout: 60_000, message: "the curve moves on" }).toBeGreaterThan(before);
    for (const name of ["Memory", "Disk space", "Disk traffic", "Network traffic"]) {
      await expect(page.getByRole("region", { name, exact: true }).getByRole("img")).toBeVisible({ timeout: 60_000 });
    }
  });

  test("log lines arrive live", async ({ page, request }) => {
    await page.goto(`${home}/logs?live=1`);
    await expect(page.getByText("Live: new lines appear at the top")).toBeVisible();
    const word = `nightingale${Date.now()}`;
    const answer = await request.post("/ingest/v1/demo", {
      headers: { origin: new URL(page.url()).origin, "content-type": "application/x-ndjson" },
      data: `${JSON.stringify({ message: `${word} sings`, level: "warn", service: "aviary", notes: { volume: 11 } })}\n`,
    });
    expect(answer.ok(), `${answer.status()} ${await answer.text()}`).toBe(true);
    const line = page.getByRole("button", { name: new RegExp(word) });
    await expect(line).toBeVisible({ timeout: 20_000 });
    await line.click();
    await expect(page.getByText(`${word} sings`)).toHaveCount(2);

    await page.getByRole("button", { name: "Live", exact: true }).click();
    await page.getByRole("textbox", { name: "Filter log lines" }).fill(word);
    await page.keyboard.press("Enter");
    await expect(page).toHaveURL(new RegExp(`filter=${word}`));
    await expect(page.getByRole("button", { name: new RegExp(word) })).toHaveCount(1);
  });
});
