import { Trans, useLingui } from "@lingui/react/macro";
import { Badge, Group, Tooltip } from "@mantine/core";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { KeyRound } from "lucide-react";
import { type ApiKey, apiKeys } from "~/api/resources";
import { useSession } from "~/api/session";
import type { Column } from "~/ui/data-table";
import type { Field } from "~/ui/fields";
import { orderBy, useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";
import { Expiry, useExpiryField } from "./expiry";
import { SecretsPage } from "./secrets-page";

const SHOWN_PERMISSIONS = 3;

export default function ApiKeysPage() {
  const { t } = useLingui();
  const view = useTableView();
  const { tenant } = useSession();
  const expiry = useExpiryField("90");
  const filter = view.filter || undefined;
  const query = useInfiniteQuery({ ...apiKeys.list({ filter, orderBy: orderBy(view.sort) ?? "name asc" }), placeholderData: keepPreviousData });
  const columns: Column<ApiKey>[] = [
    { id: "name", header: t`Name`, sortBy: "name", cell: (k) => k.name },
    { id: "permissions", header: t`Permissions`, wide: true, cell: (k) => <Permissions of={k.permissions ?? []} /> },
    { id: "expires", header: t`Expires`, sortBy: "expires_at", cell: (k) => <Expiry at={k.expires_at} /> },
    { id: "created", header: t`Created`, wide: true, cell: (k) => <TimeAgo value={k.created_at} /> },
    { id: "id", header: t`Id`, optional: true, cell: (k) => <span className="mono">{k.id}</span> },
  ];
  const fields: Field[] = [
    { name: "name", label: t`Name`, description: t`What it is for.`, required: true },
    {
      name: "permissions",
      label: t`Permissions`,
      description: t`One per line, as resource:verb. Verbs are read, write, delete, execute, approve or *.`,
      kind: "words",
      initial: "devices:read\nlogs:read\nmetrics:read",
      required: true,
    },
    expiry,
  ];
  return (
    <SecretsPage
      title={t`API keys`}
      summary={t`Credentials for programs. A key may do what it lists and never more than its maker.`}
      kind="api_key"
      collection={apiKeys}
      query={query}
      filter={filter}
      view={view}
      columns={columns}
      filterExample={`name:"backup"`}
      fields={fields}
      words={{ make: t`New API key`, submit: t`Create key`, made: t`Your new API key`, deleted: t`Whatever uses this key is refused from now on.` }}
      empty={{
        icon: <KeyRound size={26} />,
        title: t`No API keys yet`,
        text: <Trans>An API key lets a script or another system use the API of this tenant.</Trans>,
        command: `steward admin api-key --data ./steward-data --tenant ${tenant.slug} --permissions "logs:read,metrics:read"`,
      }}
      example={(secret) => `curl -H "Authorization: Bearer ${secret}" ${window.location.origin}/api/v1/devices`}
    />
  );
}

function Permissions({ of }: { of: readonly string[] }) {
  const { t } = useLingui();
  const rest = of.length - SHOWN_PERMISSIONS;
  return (
    <Group gap={4}>
      {of.slice(0, SHOWN_PERMISSIONS).map((p) => (
        <Badge key={p} color="gray" className="mono">
          {p}
        </Badge>
      ))}
      {rest > 0 && (
        <Tooltip label={of.slice(SHOWN_PERMISSIONS).join(", ")}>
          <Badge color="gray">{t`+${rest}`}</Badge>
        </Tooltip>
      )}
    </Group>
  );
}
