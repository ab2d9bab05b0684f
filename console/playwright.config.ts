import { defineConfig } from "@playwright/test";
import { session } from "./e2e/owner";

const baseURL = process.env.STEWARD_TEST_URL ?? process.env.STEWARD_URL;
if (!baseURL) throw new Error("STEWARD_TEST_URL is not set: the tests need a fresh server (scripts/served.sh --watch -- scripts/console.sh e2e)");

const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results",
  // One server, one tenant: the tests share it and run one after the other.
  workers: 1,
  fullyParallel: false,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  forbidOnly: true,
  reporter: [["list"]],
  use: {
    baseURL,
    locale: "en-GB",
    viewport: { width: 1280, height: 800 },
    trace: "retain-on-failure",
    launchOptions: { executablePath: process.env.STEWARD_CHROMIUM ?? "/usr/bin/chromium", args: flags },
  },
  projects: [
    { name: "first run", testMatch: "first-run.spec.ts" },
    { name: "console", testIgnore: "first-run.spec.ts", dependencies: ["first run"], use: { storageState: session } },
  ],
});
