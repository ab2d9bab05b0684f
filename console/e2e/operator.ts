import { type Browser, type BrowserContext, expect } from "@playwright/test";
import { owner } from "./owner";

export const operatorHome = "/console/operator";

/** A browser of its own in which the first owner is signed in to the operator's tenant. */
export async function operator(browser: Browser): Promise<BrowserContext> {
  const baseURL = process.env.STEWARD_TEST_URL ?? process.env.STEWARD_URL ?? "";
  const context = await browser.newContext({ baseURL, locale: "en-GB", viewport: { width: 1280, height: 800 }, storageState: { cookies: [], origins: [] } });
  const data = { email: owner.email, password: owner.password, tenant: "operator" };
  const answer = await context.request.post("/auth/login", { data, headers: { origin: new URL(baseURL).origin } });
  expect(answer.status(), await answer.text()).toBe(200);
  return context;
}
