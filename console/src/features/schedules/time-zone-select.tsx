import { Select } from "@mantine/core";
import type { PickerProps } from "~/ui/fields";

/** The zone whose clock is meant, by its IANA name. */
export function TimeZoneSelect({ value, ...props }: PickerProps) {
  const zones = [...new Set(["UTC", ...Intl.supportedValuesOf("timeZone"), ...(value ? [value] : [])])];
  return <Select {...props} required searchable limit={100} data={zones} value={value || null} />;
}
