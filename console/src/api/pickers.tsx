import { useLingui } from "@lingui/react/macro";
import { Select, type SelectProps } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { devices, organizations, projects } from "./resources";

const SHOWN = 200;

interface PickerProps extends Omit<SelectProps, "data" | "onChange" | "value" | "label"> {
  label?: string;
  value?: string | null;
  onChange?(id: string | null): void;
}

interface Named {
  id: string;
  name: string;
}

function toOptions(data: { pages: { data: Named[] }[] } | undefined, value: string | null | undefined) {
  const options = (data?.pages.flatMap((p) => p.data) ?? []).map((r) => ({ value: r.id, label: r.name }));
  // A record beyond the first page or out of sight still shows as what it is.
  if (value && !options.some((o) => o.value === value)) options.unshift({ value, label: value });
  return options;
}

const query = { orderBy: "name asc", limit: SHOWN };

export function OrganizationSelect({ value, ...props }: PickerProps) {
  const { t } = useLingui();
  const { data } = useInfiniteQuery(organizations.list(query));
  return <Select label={t`Organization`} placeholder={t`None`} searchable clearable clearButtonProps={{ "aria-label": t`Clear` }} data={toOptions(data, value)} value={value || null} {...props} />;
}

export function ProjectSelect({ value, ...props }: PickerProps) {
  const { t } = useLingui();
  const { data } = useInfiniteQuery(projects.list(query));
  return <Select label={t`Project`} searchable data={toOptions(data, value)} value={value || null} {...props} />;
}

export function DeviceSelect({ value, ...props }: PickerProps) {
  const { t } = useLingui();
  const { data } = useInfiniteQuery(devices.list(query));
  return <Select label={t`Device`} placeholder={t`None`} searchable clearable clearButtonProps={{ "aria-label": t`Clear` }} data={toOptions(data, value)} value={value || null} {...props} />;
}
