// Imports flow one way: lib → ui → api → features → routes. Features never import each other.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../src");
/** Which layers a layer may import besides itself. */
const allowed = {
  lib: [],
  ui: ["lib"],
  api: ["lib", "ui"],
  features: ["lib", "ui", "api"],
  routes: ["lib", "ui", "api", "features"],
};

const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((f) => /\.tsx?$/.test(f) && !f.endsWith(".d.ts"));
const faults = [];
for (const file of files) {
  const [layer, slice] = file.split("/");
  if (!(layer in allowed)) continue;
  const source = readFileSync(join(root, file), "utf8");
  for (const [, spec] of source.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
    const target = spec.startsWith("~/")
      ? spec.slice(2)
      : spec.startsWith(".")
        ? relative(root, resolve(root, dirname(file), spec))
        : null;
    if (target === null) continue;
    const [toLayer, toSlice] = target.split("/");
    if (toLayer === "locales") continue;
    if (toLayer !== layer && !allowed[layer].includes(toLayer)) faults.push(`${file}: ${layer} may not import ${toLayer} (${spec})`);
    if (layer === "features" && toLayer === "features" && toSlice !== slice) faults.push(`${file}: feature ${slice} imports feature ${toSlice} (${spec})`);
  }
}
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exit(1);
console.log(`imports: ${files.length} files, direction holds`);
