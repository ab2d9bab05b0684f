import { useLingui } from "@lingui/react/macro";
import { useNavigate, useParams } from "@tanstack/react-router";
import { OrganizationSelect } from "~/api/pickers";
import { devices } from "~/api/resources";
import type { Field } from "~/ui/fields";
import { EditRecord } from "~/ui/record-pages";

export default function EditDevice() {
  const { t } = useLingui();
  const params = useParams({ from: "/$tenant/devices/$device/edit" });
  const navigate = useNavigate();
  const fields: Field[] = [
    { name: "name", label: t`Name`, required: true },
    { name: "organization_id", label: t`Organization`, picker: OrganizationSelect },
    { name: "tags", label: t`Tags`, description: t`Separated by commas.`, kind: "list", wide: true },
  ];
  return (
    <EditRecord
      id={params.device}
      title={t`Edit device`}
      permission="devices:write"
      fields={fields}
      collection={devices}
      onDone={() => navigate({ to: "/$tenant/devices/$device", params })}
    />
  );
}
