import { useLingui } from "@lingui/react/macro";
import { useNavigate } from "@tanstack/react-router";
import { OrganizationSelect } from "~/api/pickers";
import { useOrg } from "~/ui/org";
import classes from "./shell.module.css";

/** Narrows the whole console to one organization; the choice is in the URL. */
export function OrganizationSwitch() {
  const { t } = useLingui();
  const org = useOrg();
  const navigate = useNavigate();
  return (
    <OrganizationSelect
      className={classes.org ?? ""}
      label=""
      aria-label={t`Organization`}
      placeholder={t`All organizations`}
      size="xs"
      value={org ?? null}
      onChange={(id) => void navigate({ to: ".", search: ((prev: object) => ({ ...prev, org: id ?? undefined })) as never })}
    />
  );
}
