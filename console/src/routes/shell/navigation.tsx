import { useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { Activity, Archive, Boxes, Building2, CalendarClock, FileText, KeyRound, Landmark, LayoutDashboard, ListChecks, Server, Ticket, Trash2, Users } from "lucide-react";
import type { ReactNode } from "react";
import { OPERATOR, useSession } from "~/api/session";
import { NavItem } from "~/ui/links";
import { useShortcut } from "~/ui/shortcuts";
import classes from "./shell.module.css";

type Target =
  | "/$tenant"
  | "/$tenant/devices"
  | "/$tenant/logs"
  | "/$tenant/projects"
  | "/$tenant/organizations"
  | "/$tenant/activity"
  | "/$tenant/jobs"
  | "/$tenant/schedules"
  | "/$tenant/recycle-bin"
  | "/$tenant/members"
  | "/$tenant/api-keys"
  | "/$tenant/enrollment-tokens"
  | "/$tenant/tenants"
  | "/$tenant/backups";

export interface Destination {
  to: Target;
  label: string;
  icon: ReactNode;
  keys: string;
}

/** The places of the console: the menu, the palette and the `g` shortcuts are made of this. */
export function useDestinations(): { group: string | null; items: Destination[] }[] {
  const { t } = useLingui();
  const { tenant } = useSession();
  const installation: Destination[] = [
    { to: "/$tenant/tenants", label: t`Tenants`, icon: <Landmark size={16} />, keys: "g t" },
    { to: "/$tenant/backups", label: t`Backups`, icon: <Archive size={16} />, keys: "g b" },
  ];
  return [
    {
      group: null,
      items: [
        { to: "/$tenant", label: t`Overview`, icon: <LayoutDashboard size={16} />, keys: "g h" },
        { to: "/$tenant/devices", label: t`Devices`, icon: <Server size={16} />, keys: "g d" },
        { to: "/$tenant/logs", label: t`Logs`, icon: <FileText size={16} />, keys: "g l" },
        { to: "/$tenant/projects", label: t`Projects`, icon: <Boxes size={16} />, keys: "g p" },
        { to: "/$tenant/organizations", label: t`Organizations`, icon: <Building2 size={16} />, keys: "g o" },
        { to: "/$tenant/activity", label: t`Activity`, icon: <Activity size={16} />, keys: "g a" },
        { to: "/$tenant/jobs", label: t`Jobs`, icon: <ListChecks size={16} />, keys: "g j" },
        { to: "/$tenant/schedules", label: t`Schedules`, icon: <CalendarClock size={16} />, keys: "g s" },
        { to: "/$tenant/recycle-bin", label: t`Recycle bin`, icon: <Trash2 size={16} />, keys: "g r" },
      ],
    },
    {
      group: t`Access`,
      items: [
        { to: "/$tenant/members", label: t`Members`, icon: <Users size={16} />, keys: "g m" },
        { to: "/$tenant/api-keys", label: t`API keys`, icon: <KeyRound size={16} />, keys: "g k" },
        { to: "/$tenant/enrollment-tokens", label: t`Enrolment tokens`, icon: <Ticket size={16} />, keys: "g e" },
      ],
    },
    ...(tenant.slug === OPERATOR ? [{ group: t`Installation`, items: installation }] : []),
  ];
}

export function Navigation({ path, onNavigate, tenant }: { path: string; onNavigate(): void; tenant: string }) {
  const { t } = useLingui();
  const groups = useDestinations();
  return (
    <nav aria-label={t`Main`} className={classes.nav}>
      {groups.map(({ group, items }) => (
        <div key={group ?? "main"} className={classes.navGroup}>
          {group && (
            <Text size="xs" fw={500} c="dimmed" className={classes.navTitle ?? ""}>
              {group}
            </Text>
          )}
          {items.map((item) => {
            const at = item.to.replace("$tenant", tenant);
            const active = item.to === "/$tenant" ? path === at : path === at || path.startsWith(`${at}/`);
            return (
              <NavItem
                key={item.to}
                to={item.to}
                params={{ tenant }}
                label={item.label}
                leftSection={item.icon}
                active={active}
                activeOptions={{ exact: item.to === "/$tenant" }}
                className={classes.navLink ?? ""}
                onClick={onNavigate}
              />
            );
          })}
        </div>
      ))}
      {groups.flatMap((g) => g.items).map((item) => (
        <GoTo key={item.to} item={item} tenant={tenant} />
      ))}
    </nav>
  );
}

/** Renders nothing: it binds one destination's shortcut. */
function GoTo({ item, tenant }: { item: Destination; tenant: string }) {
  const { t } = useLingui();
  const navigate = useNavigate();
  useShortcut({ keys: item.keys, label: item.label, group: t`Go to`, run: () => void navigate({ to: item.to, params: { tenant } }) });
  return null;
}
