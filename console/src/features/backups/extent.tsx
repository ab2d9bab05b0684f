import { useLingui } from "@lingui/react/macro";
import type { Backup } from "~/api/backups";

/** What it is of, where its manifest can be read. */
export function Extent({ backup: { everything } }: { backup: Backup }) {
  const { t } = useLingui();
  if (typeof everything !== "boolean") return <>–</>;
  return <>{everything ? t`Everything` : t`Some tenants`}</>;
}
