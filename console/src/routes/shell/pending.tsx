import { Loader } from "@mantine/core";
import { useLingui } from "@lingui/react/macro";
import classes from "./shell.module.css";

export function Pending() {
  const { t } = useLingui();
  return (
    <div className={classes.pending} role="status" aria-label={t`Loading`}>
      <Loader size="sm" />
    </div>
  );
}
