import { expect, test } from "@playwright/test";
import { expectAccessible } from "./accessible";
import { home, owner } from "./owner";

// A session of its own: signing out must not end the one that the other tests share.
test.use({ storageState: { cookies: [], origins: [] } });

test("sign-in refuses, admits, returns to the page, and sign-out ends it", async ({ page }) => {
  await page.goto(`${home}/devices?filter=status%20%3D%20%22online%22`);
  await expect(page.getByRole("heading", { name: "Sign in", exact: true })).toBeVisible();
  await expectAccessible(page);

  await page.getByRole("textbox", { name: "E-mail" }).fill(owner.email);
  await page.getByLabel("Password").first().fill("not the password at all");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByText("E-mail and password do not belong together.")).toBeVisible();
  await expectAccessible(page);

  await page.getByLabel("Password").first().fill(owner.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Devices", exact: true })).toBeVisible();
  await expect(page.getByRole("textbox", { name: "Filter Devices" })).toHaveValue('status = "online"');

  await page.getByRole("button", { name: "Account" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { name: "Sign in", exact: true })).toBeVisible();
  await page.goto(home);
  await expect(page.getByRole("heading", { name: "Sign in", exact: true })).toBeVisible();
});
