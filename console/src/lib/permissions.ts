/** Client-side reading of the session's permissions: it decides what to offer, the server decides what is done. */
export interface Grants {
  allow: readonly string[];
  deny: readonly string[];
}

/** True when some allow entry covers `resource:verb` and no unscoped deny entry does. */
export function allows(grants: Grants, permission: string): boolean {
  return grants.allow.some((g) => covers(g, permission)) && !grants.deny.some((g) => covers(g, permission));
}

function covers(grant: string, permission: string): boolean {
  // An entry may carry a scope after a blank or @; its resource and verb come first.
  const [entry = ""] = grant.split(/[\s@]/);
  const [resource, verb] = entry.split(":");
  const [wantedResource, wantedVerb] = permission.split(":");
  // admin:* is everything inside one tenant, never the operator's own resources.
  if (resource === "admin" && verb === "*") return wantedResource !== "tenants" && wantedResource !== "platform";
  return (resource === "*" || resource === wantedResource) && (verb === "*" || verb === wantedVerb);
}
