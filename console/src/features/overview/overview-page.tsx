import { useLingui } from "@lingui/react/macro";
import { useSession } from "~/api/session";
import { Page } from "~/ui/page";
import { Checklist } from "./checklist";
import { DeviceCards } from "./device-cards";
import classes from "./overview.module.css";
import { RecentEvents } from "./recent-events";
import { Tiles } from "./tiles";

export default function OverviewPage() {
  const { t } = useLingui();
  const { tenant } = useSession();
  return (
    <Page title={t`Overview`} summary={tenant.name}>
      <Tiles />
      <DeviceCards />
      <div className={classes.columns}>
        <RecentEvents />
        <Checklist />
      </div>
    </Page>
  );
}
