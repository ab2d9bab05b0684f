/** The command line that does the same as a form: for records that is the API itself. */
export function curlCreate(origin: string, path: string, body: Record<string, unknown>): string {
  return [
    `curl -X POST ${origin}${path} \\`,
    `  -H "Authorization: Bearer $STEWARD_KEY" -H "Content-Type: application/json" \\`,
    `  -d '${JSON.stringify(body)}'`,
  ].join("\n");
}
