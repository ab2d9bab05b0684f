/** The owner whom the first-run test creates and the others sign in as. */
export const owner = { email: "ada@example.com", name: "Ada Lovelace", password: "a long phrase nobody guesses", tenantName: "Northwind IT", slug: "northwind-it" };
export const session = "node_modules/.tmp/owner.json";
export const home = `/console/${owner.slug}`;
