// Holds the bundle to its budgets: what every page loads, the texts of a language, each lazily loaded page, and the chart library.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";

const root = resolve(import.meta.dirname, "..");
const manifest = JSON.parse(readFileSync(join(root, "node_modules/.tmp/manifest.json"), "utf8"));
const kb = (file) => gzipSync(readFileSync(join(root, "dist", file)), { level: 9 }).length / 1024;

/** The chunk and everything it imports statically. */
function closure(key, seen = new Set()) {
  if (seen.has(key)) return seen;
  seen.add(key);
  for (const next of manifest[key].imports ?? []) closure(next, seen);
  return seen;
}

const entry = Object.keys(manifest).find((k) => manifest[k].isEntry);
// The signed-in frame loads lazily, but every page needs it; so do the texts of one language, which grow with the pages.
const shell = closure(entry);
closure("src/routes/shell/tenant-shell.tsx", shell);
const rows = [];
const sum = (keys, kind) => {
  const files = new Set([...keys].flatMap((k) => (kind === "css" ? (manifest[k].css ?? []) : manifest[k].file.endsWith(".js") ? [manifest[k].file] : [])));
  return [...files].reduce((total, f) => total + kb(f), 0);
};
rows.push(["shell js", sum(shell, "js"), 225]);
rows.push(["shell css", sum(shell, "css"), 40]);
for (const key of Object.keys(manifest)) {
  const chunk = manifest[key];
  if (!chunk.isDynamicEntry || !chunk.file.endsWith(".js") || shell.has(key)) continue;
  const own = [...closure(key)].filter((k) => !shell.has(k));
  rows.push([`${chunk.name}`, sum(own, "js"), key.includes("/draw") ? 25 : key.includes("/locales/") ? 15 : 60]);
}
let failed = false;
for (const [name, size, limit] of rows.sort((a, b) => b[1] - a[1])) {
  const over = size > limit;
  failed ||= over;
  console.log(`${over ? "OVER " : "     "}${String(name).padEnd(24)} ${size.toFixed(1).padStart(7)} KB of ${limit}`);
}
if (failed) process.exit(1);
