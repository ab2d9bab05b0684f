import { useLingui } from "@lingui/react/macro";
import { Badge, Group } from "@mantine/core";

interface Role {
  name: string;
  label: string;
  purpose: string;
}

/** The roles that every tenant has, strongest first. */
export function useRoles(): Role[] {
  const { t } = useLingui();
  return [
    { name: "owner", label: t`Owner`, purpose: t`Everything, including ending the tenant.` },
    { name: "admin", label: t`Admin`, purpose: t`Everything but ending the tenant.` },
    { name: "technician", label: t`Technician`, purpose: t`Looks after devices, projects and services.` },
    { name: "moderator", label: t`Moderator`, purpose: t`Looks after members and organizations.` },
    { name: "user", label: t`User`, purpose: t`Sees what the tenant runs.` },
    { name: "read-only", label: t`Read-only`, purpose: t`Sees everything, changes nothing.` },
  ];
}

export function RoleBadges({ roles }: { roles: readonly string[] }) {
  const known = useRoles();
  // In the order of their strength; one that the console does not know comes last.
  const all = [...known.filter((role) => roles.includes(role.name)), ...roles.filter((name) => known.every((role) => role.name !== name)).map((name) => ({ name, label: name }))];
  return (
    <Group gap={4}>
      {all.map(({ name, label }) => (
        <Badge key={name} color={name === "owner" ? "iris" : "gray"}>
          {label}
        </Badge>
      ))}
    </Group>
  );
}
