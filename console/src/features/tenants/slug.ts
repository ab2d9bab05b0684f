import { useLingui } from "@lingui/react/macro";

/** What is wrong with a tenant's address, if anything is. */
export function useSlugRule(): (text: string) => string | null {
  const { t } = useLingui();
  return (text) => (/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])$/.test(text) ? null : t`Two to forty lowercase letters, digits and hyphens.`);
}
