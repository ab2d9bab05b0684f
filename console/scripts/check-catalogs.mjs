// Every string of the sources is in every catalogue, and every catalogue but the pseudo one is translated.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const path = (locale) => resolve(root, `src/locales/${locale}.po`);
const locales = ["en", "de", "pseudo"];
const before = Object.fromEntries(locales.map((l) => [l, readFileSync(path(l), "utf8")]));
const body = (text) => text.replace(/^"(POT-Creation-Date|PO-Revision-Date).*$/gm, "");

let failed = false;
execFileSync(resolve(root, "node_modules/.bin/lingui"), ["extract", "--clean"], { cwd: root, stdio: "pipe" });
for (const locale of locales) {
  const after = readFileSync(path(locale), "utf8");
  if (body(after) !== body(before[locale])) {
    console.error(`${locale}.po is not up to date: run npm run extract`);
    failed = true;
  }
  writeFileSync(path(locale), before[locale]);
  if (locale === "pseudo") continue;
  const missing = [...before[locale].matchAll(/^msgid "(.+)"\nmsgstr ""$(?!\n")/gm)].map((m) => m[1]);
  for (const id of missing) console.error(`${locale}.po: not translated: ${id}`);
  failed ||= missing.length > 0;
}
if (failed) process.exit(1);
console.log("catalogues: complete");
