// Writes a brotli and a gzip sibling for each compressible file of dist, which the server sends as they are.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const root = resolve(import.meta.dirname, "..");
const dist = join(root, "dist");
const kept = join(root, "node_modules/.tmp");
mkdirSync(kept, { recursive: true });
// The manifest is for check-size only and is not served.
renameSync(join(dist, ".vite/manifest.json"), join(kept, "manifest.json"));
rmSync(join(dist, ".vite"), { recursive: true });

const compressible = /\.(html|js|css|svg|json|txt|webmanifest)$/;
let files = 0;
for (const file of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
  if (!compressible.test(file)) continue;
  const bytes = readFileSync(join(dist, file));
  const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } };
  writeFileSync(join(dist, `${file}.br`), brotliCompressSync(bytes, brotli));
  writeFileSync(join(dist, `${file}.gz`), gzipSync(bytes, { level: 9 }));
  files += 1;
}
console.log(`compressed ${files} files`);
