import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { transformAsync } from "@babel/core";
import macro from "@lingui/babel-plugin-lingui-macro";
import { lingui } from "@lingui/vite-plugin";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const server = process.env.STEWARD_DEV_SERVER ?? "http://127.0.0.1:8080";
const proxied = ["/api", "/auth", "/otlp", "/ingest", "/agent", "/t", "/livez", "/readyz", "/version", "/metrics"];

/** Expands Lingui's macros; Vite 8 itself has no Babel step and the official bridge needs Node 22. */
function linguiMacro(): Plugin {
  return {
    name: "lingui-macro",
    enforce: "pre",
    async transform(code, id) {
      const file = id.split("?")[0] ?? id;
      if (!/\.tsx?$/.test(file) || !code.includes("@lingui/")) return null;
      const result = await transformAsync(code, {
        filename: file,
        babelrc: false,
        configFile: false,
        sourceMaps: true,
        parserOpts: { plugins: file.endsWith("x") ? ["typescript", "jsx"] : ["typescript"] },
        plugins: [macro],
      });
      return result?.code ? { code: result.code, map: result.map ?? null } : null;
    },
  };
}

/**
 * The colour scheme must be known before first paint and the CSP forbids inline scripts,
 * so a tiny classic script is emitted as a hashed file of its own.
 */
function colorSchemeScript(): Plugin {
  const source = "/src/color-scheme.js";
  return {
    name: "color-scheme-script",
    buildStart() {
      const code = readFileSync(new URL(`.${source}`, import.meta.url), "utf8");
      this.emitFile({ type: "asset", name: "color-scheme.js", source: code });
    },
    transformIndexHtml: {
      order: "post",
      handler(html, { bundle }) {
        const emitted = Object.keys(bundle ?? {}).find((file) => /color-scheme-[^/]*\.js$/.test(file));
        if (!emitted) throw new Error("color-scheme.js was not emitted");
        return html.replace(`src="${source}"`, `src="/console/${emitted}"`);
      },
    },
  };
}

export default defineConfig(({ command }) => ({
  base: "/console/",
  plugins: [linguiMacro(), lingui(), react(), ...(command === "build" ? [colorSchemeScript()] : [])],
  resolve: { alias: { "~": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    target: "es2022",
    manifest: true,
    sourcemap: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    modulePreload: { polyfill: false },
  },
  server: {
    port: 5173,
    proxy: Object.fromEntries(
      proxied.map((path) => [
        `^${path}(/|$|\\?)`,
        {
          target: server,
          // The server accepts cookie writes only from its own public URL.
          configure: (proxy: { on(event: "proxyReq", f: (req: { setHeader(k: string, v: string): void }) => void): void }) => {
            proxy.on("proxyReq", (request) => request.setHeader("origin", new URL(server).origin));
          },
        },
      ]),
    ),
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
}));
