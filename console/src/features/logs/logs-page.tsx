import { useLingui } from "@lingui/react/macro";
import { useOrgFilter } from "~/ui/org";
import { Page } from "~/ui/page";
import { LogExplorer } from "./log-explorer";

export default function LogsPage() {
  const { t } = useLingui();
  const org = useOrgFilter();
  return (
    <Page title={t`Logs`} summary={t`Every line of every device and service, searchable as soon as it arrives.`}>
      <LogExplorer scope={org} />
    </Page>
  );
}
