import { Trans, useLingui } from "@lingui/react/macro";
import { Alert } from "@mantine/core";
import { CircleAlert } from "lucide-react";
import classes from "./recycle-bin.module.css";
import type { Refused } from "./use-restore";

/** What could not come back, each with its reason. */
export function NotRestored({ refused }: { refused: readonly Refused[] }) {
  const { t } = useLingui();
  return (
    <Alert color="red" icon={<CircleAlert size={18} />} title={t`Not restored`} mb="md" role="alert">
      <Trans>Something that they need is missing, or a value of theirs is taken by now.</Trans>
      <ul className={classes.refused}>
        {refused.map(({ row, error }) => (
          <li key={row.id}>
            <strong>{row.name}</strong>: {error.fields.map((field) => field.detail).join(" ") || error.message}
          </li>
        ))}
      </ul>
    </Alert>
  );
}
