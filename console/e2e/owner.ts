/** The owner whom the first-run test creates and the others sign in as. */
export const owner = { email: "ada@example.com", name: "Ada Lovelace", password: "a long phrase nobody guesses", tenantName: "Northwind IT", slug: "northwind-it" };
/** One file per server, so that two runs do not share a session. */
export const session = `node_modules/.tmp/owner-${new URL(process.env.STEWARD_TEST_URL ?? process.env.STEWARD_URL ?? "http://localhost").port}.json`;
export const home = `/console/${owner.slug}`;
