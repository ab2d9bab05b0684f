import { useLingui } from "@lingui/react/macro";
import { useNavigate, useParams } from "@tanstack/react-router";
import { tenants } from "~/api/resources";
import type { Field } from "~/ui/fields";
import { NewRecord } from "~/ui/record-pages";
import { useSlugRule } from "./slug";

export default function NewTenant() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/tenants/new" });
  const navigate = useNavigate();
  const slug = useSlugRule();
  const fields: Field[] = [
    { name: "name", label: t`Name`, description: t`As people read it.`, required: true },
    { name: "slug", label: t`Address`, description: t`As it stands in links: /console/acme. It stays as it is.`, kind: "code", required: true, validate: slug },
  ];
  return (
    <NewRecord
      title={t`New tenant`}
      submitLabel={t`Create tenant`}
      fields={fields}
      collection={tenants}
      onCancel={() => void navigate({ to: "/$tenant/tenants", params: { tenant } })}
      onCreated={({ id }) => navigate({ to: "/$tenant/tenants/$id", params: { tenant, id } })}
    />
  );
}
