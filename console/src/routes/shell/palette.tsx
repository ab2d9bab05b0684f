import "@mantine/spotlight/styles.css";
import { useLingui } from "@lingui/react/macro";
import { Text, useMantineColorScheme } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { createSpotlight, Spotlight } from "@mantine/spotlight";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Boxes, Building2, Moon, Plus, Search, Server, Sun } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { devices, organizations, projects } from "~/api/resources";
import { quote } from "~/lib/filter";
import { Keys } from "~/ui/shortcuts";
import { useDestinations } from "./navigation";
import classes from "./shell.module.css";

const [store, spotlight] = createSpotlight();

interface Command {
  id: string;
  label: string;
  icon: ReactNode;
  hint?: ReactNode;
  run(): void;
}

const FOUND = 6;

/** Ctrl or Cmd + K: places, actions, and records found by name. */
export default function Palette({ tenant, onClose }: { tenant: string; onClose(): void }) {
  const { t } = useLingui();
  const navigate = useNavigate();
  const { setColorScheme } = useMantineColorScheme();
  const [text, setText] = useState("");
  // It is rendered only while it is wanted, so it opens as soon as it is there.
  useEffect(() => spotlight.open(), []);
  const [wanted] = useDebouncedValue(text.trim(), 150);
  const search = { filter: wanted ? quote(wanted) : undefined, limit: FOUND };
  const enabled = wanted.length >= 2;
  const foundDevices = useInfiniteQuery({ ...devices.list(search), enabled });
  const foundProjects = useInfiniteQuery({ ...projects.list(search), enabled });
  const foundOrganizations = useInfiniteQuery({ ...organizations.list({ ...search, limit: FOUND }), enabled });
  const places = useDestinations().flatMap((g) => g.items);

  const matches = (label: string) => label.toLowerCase().includes(text.trim().toLowerCase());
  const goTo: Command[] = places
    .map((p) => ({ id: p.to, label: p.label, icon: p.icon, hint: <Keys keys={p.keys} />, run: () => void navigate({ to: p.to, params: { tenant } }) }))
    .filter((c) => matches(c.label));
  const actions: Command[] = [
    { id: "add-device", label: t`Add a device`, icon: <Plus size={16} />, run: () => void navigate({ to: "/$tenant/devices/add", params: { tenant } }) },
    { id: "new-project", label: t`New project`, icon: <Plus size={16} />, run: () => void navigate({ to: "/$tenant/projects/new", params: { tenant } }) },
    { id: "new-organization", label: t`New organization`, icon: <Plus size={16} />, run: () => void navigate({ to: "/$tenant/organizations/new", params: { tenant } }) },
    { id: "light", label: t`Light theme`, icon: <Sun size={16} />, run: () => setColorScheme("light") },
    { id: "dark", label: t`Dark theme`, icon: <Moon size={16} />, run: () => setColorScheme("dark") },
  ].filter((c) => matches(c.label));
  const rows = <T,>(query: { data: { pages: { data: T[] }[] } | undefined }) => (enabled ? (query.data?.pages.flatMap((p) => p.data) ?? []) : []);
  const records: Command[] = [
    ...rows(foundDevices).map((d) => ({ id: d.id, label: d.name, icon: <Server size={16} />, hint: t`Device`, run: () => void navigate({ to: "/$tenant/devices/$device", params: { tenant, device: d.id } }) })),
    ...rows(foundProjects).map((p) => ({ id: p.id, label: p.name, icon: <Boxes size={16} />, hint: t`Project`, run: () => void navigate({ to: "/$tenant/projects/$project", params: { tenant, project: p.id } }) })),
    ...rows(foundOrganizations).map((o) => ({
      id: o.id,
      label: o.name,
      icon: <Building2 size={16} />,
      hint: t`Organization`,
      run: () => void navigate({ to: "/$tenant/organizations/$organization", params: { tenant, organization: o.id } }),
    })),
  ];
  const groups: [string, Command[]][] = [
    [t`Found`, records],
    [t`Go to`, goTo],
    [t`Actions`, actions],
  ];
  const none = groups.every(([, commands]) => commands.length === 0);
  return (
    <Spotlight.Root store={store} query={text} onQueryChange={setText} shortcut={null} onSpotlightClose={onClose} attributes={{ content: { "aria-label": t`Search and commands` } }} clearQueryOnClose maxHeight={420} scrollable>
      <Spotlight.Search placeholder={t`Go to, do, or find by name`} aria-label={t`Search and commands`} leftSection={<Search size={16} />} />
      <Spotlight.ActionsList>
        {groups
          .filter(([, commands]) => commands.length > 0)
          .map(([label, commands]) => (
            <Spotlight.ActionsGroup key={label} label={label}>
              {commands.map((c) => (
                <Spotlight.Action key={c.id} onClick={c.run} leftSection={c.icon}>
                  <Text size="sm" flex={1}>
                    {c.label}
                  </Text>
                  <Text size="xs" c="dimmed" component="span" className={classes.hint ?? ""}>
                    {c.hint}
                  </Text>
                </Spotlight.Action>
              ))}
            </Spotlight.ActionsGroup>
          ))}
        {none && <Spotlight.Empty>{t`Nothing found`}</Spotlight.Empty>}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
}
