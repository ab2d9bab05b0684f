import hooks from "eslint-plugin-react-hooks";
import ts from "typescript-eslint";

export default ts.config(
  { ignores: ["dist", "node_modules", "src/api/schema.d.ts", "test-results", "playwright-report"] },
  ...ts.configs.recommended,
  ...ts.configs.stylistic,
  hooks.configs.flat.recommended,
  {
    rules: {
      "@typescript-eslint/consistent-type-definitions": ["error", "interface"],
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "no-console": "error",
      eqeqeq: "error",
      "no-restricted-globals": ["error", { name: "fetch", message: "Use src/api/client.ts or src/lib/sse.ts." }],
    },
  },
  { files: ["src/lib/sse.ts", "src/api/client.ts", "e2e/**", "scripts/**"], rules: { "no-restricted-globals": "off", "no-console": "off" } },
  { files: ["src/color-scheme.js"], languageOptions: { globals: { window: "readonly", document: "readonly" } } },
);
