import { ServicePage } from "~/features/projects/service-page";
import { LogExplorer } from "~/features/logs/log-explorer";
import { equals } from "~/lib/filter";

/** A service with its log lines: features meet only here. */
export default function ServiceRoute() {
  return <ServicePage logs={(service) => <LogExplorer scope={equals("service_id", service.id)} marks={{ "steward.service.id": service.id }} compact />} />;
}
