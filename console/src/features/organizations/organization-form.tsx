import { useLingui } from "@lingui/react/macro";
import { useNavigate, useParams } from "@tanstack/react-router";
import { organizations } from "~/api/resources";
import type { Field } from "~/ui/fields";
import { EditRecord, NewRecord } from "~/ui/record-pages";

function useFields(): Field[] {
  const { t } = useLingui();
  return [
    { name: "name", label: t`Name`, required: true },
    { name: "slug", label: t`Address`, description: t`A short name for links.`, kind: "code" },
    { name: "contact_name", label: t`Contact` },
    { name: "contact_email", label: t`Contact e-mail`, kind: "email" },
    { name: "website", label: t`Website`, kind: "url", placeholder: "https://", wide: true },
    { name: "notes", label: t`Notes`, kind: "lines", wide: true },
  ];
}

export function NewOrganization() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/organizations/new" });
  const navigate = useNavigate();
  return (
    <NewRecord
      title={t`New organization`}
      submitLabel={t`Create organization`}
      fields={useFields()}
      collection={organizations}
      onCancel={() => void navigate({ to: "/$tenant/organizations", params: { tenant } })}
      onCreated={({ id }) => navigate({ to: "/$tenant/organizations/$organization", params: { tenant, organization: id } })}
    />
  );
}

export function EditOrganization() {
  const { t } = useLingui();
  const params = useParams({ from: "/$tenant/organizations/$organization/edit" });
  const navigate = useNavigate();
  return (
    <EditRecord
      id={params.organization}
      title={t`Edit organization`}
      permission="organizations:write"
      fields={useFields()}
      collection={organizations}
      onDone={() => navigate({ to: "/$tenant/organizations/$organization", params })}
    />
  );
}
