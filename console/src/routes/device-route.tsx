import { DevicePage } from "~/features/devices/device-page";
import { LogExplorer } from "~/features/logs/log-explorer";
import { equals } from "~/lib/filter";

/** A device with its log lines: features meet only here. */
export default function DeviceRoute() {
  return <DevicePage logs={(device) => <LogExplorer scope={equals("device_id", device.id)} compact />} />;
}
