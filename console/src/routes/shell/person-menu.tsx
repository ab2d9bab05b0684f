import { useLingui } from "@lingui/react/macro";
import { ActionIcon, Menu, Text, useMantineColorScheme } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { CircleUserRound, LogOut, Monitor, Moon, Sun } from "lucide-react";
import { type Session, sessionQuery, signOut, versionQuery } from "~/api/session";
import { chooseLocale, LOCALES } from "~/lib/i18n";

export function PersonMenu({ session }: { session: Session }) {
  const { t, i18n } = useLingui();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const version = useQuery(versionQuery);
  const leaving = useMutation({
    mutationFn: signOut,
    onSuccess: async () => {
      await navigate({ to: "/sign-in" });
      queries.clear();
      queries.setQueryData(sessionQuery.queryKey, null);
    },
  });
  const schemes = [
    { value: "light", label: t`Light`, icon: <Sun size={15} /> },
    { value: "dark", label: t`Dark`, icon: <Moon size={15} /> },
    { value: "auto", label: t`As the system`, icon: <Monitor size={15} /> },
  ] as const;
  const others = session.tenants.filter((x) => x.id !== session.tenant.id);
  return (
    <Menu position="bottom-end" width={240} shadow="md">
      <Menu.Target>
        <ActionIcon size={34} aria-label={t`Account`}>
          <CircleUserRound size={19} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          <Text size="sm" fw={600} c="var(--mantine-color-text)">
            {session.person.name}
          </Text>
          {session.person.email}
        </Menu.Label>
        {others.length > 0 && <Menu.Divider />}
        {others.map((x) => (
          <Menu.Item key={x.id} onClick={() => void navigate({ to: "/$tenant", params: { tenant: x.slug }, search: {} })}>
            {x.name}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Label>{t`Theme`}</Menu.Label>
        <Menu.RadioGroup value={colorScheme} onChange={(value) => setColorScheme(value as typeof colorScheme)}>
          {schemes.map(({ value, label, icon }) => (
            <Menu.RadioItem key={value} value={value} rightSection={icon} closeMenuOnClick>
              {label}
            </Menu.RadioItem>
          ))}
        </Menu.RadioGroup>
        <Menu.Label>{t`Language`}</Menu.Label>
        <Menu.RadioGroup value={i18n.locale} onChange={(value) => void chooseLocale(value)}>
          {Object.entries(LOCALES).map(([value, label]) => (
            <Menu.RadioItem key={value} value={value} closeMenuOnClick>
              {label}
            </Menu.RadioItem>
          ))}
        </Menu.RadioGroup>
        <Menu.Divider />
        <Menu.Item leftSection={<LogOut size={15} />} onClick={() => leaving.mutate()}>
          {t`Sign out`}
        </Menu.Item>
        {version.data && <Menu.Label>Steward {version.data.version}</Menu.Label>}
      </Menu.Dropdown>
    </Menu>
  );
}
