import { useLingui } from "@lingui/react/macro";
import { Tabs } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { KINDS, useKindNames } from "~/api/kinds";
import { useSession } from "~/api/session";
import { allows } from "~/lib/permissions";
import { Page } from "~/ui/page";
import { NoPermission } from "~/ui/states";
import { Deleted } from "./deleted";
import { BINNED } from "./kinds";
import classes from "./recycle-bin.module.css";

/** What was deleted and can come back, kind by kind. */
export default function RecycleBinPage() {
  const { t } = useLingui();
  const search = useSearch({ from: "/$tenant/recycle-bin" });
  const navigate = useNavigate();
  const { permissions } = useSession();
  const names = useKindNames();
  const readable = BINNED.filter((kind) => allows(permissions, `${KINDS[kind].resource}:read`));
  const kind = readable.find((name) => name === search.kind) ?? readable[0];
  const open = (next: string | null) => void navigate({ to: ".", search: { kind: next ?? undefined } as never });
  return (
    <Page title={t`Recycle bin`} summary={t`What was deleted in the last 30 days. After that it is gone for good.`}>
      {kind ? (
        <Tabs value={kind} onChange={open} keepMounted={false}>
          <Tabs.List className={classes.tabs ?? ""}>
            {readable.map((name) => (
              <Tabs.Tab key={name} value={name}>
                {names[name]}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          <Tabs.Panel value={kind} pt="md">
            <Deleted key={kind} kind={kind} />
          </Tabs.Panel>
        </Tabs>
      ) : (
        <NoPermission />
      )}
    </Page>
  );
}
