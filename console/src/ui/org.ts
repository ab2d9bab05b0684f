import { useSearch } from "@tanstack/react-router";
import { equals } from "~/lib/filter";

/** The organization that the whole console is narrowed to (`?org=`). */
export function useOrg(): string | undefined {
  const search: Record<string, unknown> = useSearch({ strict: false });
  return typeof search.org === "string" && search.org ? search.org : undefined;
}

export function useOrgFilter(): string | undefined {
  const org = useOrg();
  return org ? equals("organization_id", org) : undefined;
}
