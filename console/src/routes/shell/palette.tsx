import "@mantine/spotlight/styles.css";
import { useLingui } from "@lingui/react/macro";
import { Text, useMantineColorScheme } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { createSpotlight, Spotlight } from "@mantine/spotlight";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Moon, Plus, Search, Sun } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { KINDS, useKindNames, usePlaces } from "~/api/kinds";
import { byKind, searchQuery } from "~/api/search";
import { asApiError } from "~/lib/problem";
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

const FOUND = 20;

/** Ctrl or Cmd + K: places, actions, and records of all kinds found by their words. */
export default function Palette({ tenant, onClose }: { tenant: string; onClose(): void }) {
  const { t } = useLingui();
  const navigate = useNavigate();
  const { setColorScheme } = useMantineColorScheme();
  const [text, setText] = useState("");
  // It is rendered only while it is wanted, so it opens as soon as it is there.
  useEffect(() => spotlight.open(), []);
  const [wanted] = useDebouncedValue(text.trim(), 150);
  const enabled = wanted.length >= 2;
  const found = useInfiniteQuery({ ...searchQuery(wanted, undefined, FOUND), enabled });
  const kinds = useKindNames();
  const placeOf = usePlaces();
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
  const hits = enabled ? byKind(found.data?.pages.flatMap((page) => page.data) ?? []) : [];
  const records = hits.map(([kind, some]): [string, Command[]] => {
    const Icon = KINDS[kind].icon;
    const commands = some.flatMap(({ id, record }) => {
      const place = placeOf(kind, record);
      return place ? { id, label: record.name ?? id, icon: <Icon size={16} />, hint: record.hostname, run: () => void navigate(place) } : [];
    });
    return [kinds[kind], commands];
  });
  const everything = { id: "search", label: t`Show all that is found`, icon: <Search size={16} />, run: () => void navigate({ to: "/$tenant/search", params: { tenant }, search: { q: wanted } }) };
  const groups: [string, Command[]][] = [...records, [t`Go to`, goTo], [t`Actions`, actions], [t`Search`, records.length > 0 ? [everything] : []]];
  const failure = enabled && found.error ? asApiError(found.error).message : null;
  const none = !found.isFetching && !failure && groups.every(([, commands]) => commands.length === 0);
  return (
    <Spotlight.Root store={store} query={text} onQueryChange={setText} shortcut={null} onSpotlightClose={onClose} attributes={{ content: { "aria-label": t`Search and commands` } }} clearQueryOnClose maxHeight={420} scrollable>
      <Spotlight.Search placeholder={t`Go to, do, or find by name`} aria-label={t`Search and commands`} leftSection={<Search size={16} />} />
      <Spotlight.ActionsList>
        {groups
          .filter(([, commands]) => commands.length > 0)
          .map(([label, commands]) => (
            <Spotlight.ActionsGroup key={label} label={label}>
              {commands.map((c) => (
                <Spotlight.Action key={c.id} onClick={c.run} className={classes.command ?? ""}>
                  {c.icon}
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
        {failure && <Spotlight.Empty role="alert">{t`The search failed: ${failure}`}</Spotlight.Empty>}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
}
