import { useLingui } from "@lingui/react/macro";
import { useNavigate, useParams } from "@tanstack/react-router";
import { OrganizationSelect } from "~/api/pickers";
import { projects } from "~/api/resources";
import type { Field } from "~/ui/fields";
import { useOrg } from "~/ui/org";
import { EditRecord, NewRecord } from "~/ui/record-pages";

function useFields(): Field[] {
  const { t } = useLingui();
  const org = useOrg() ?? "";
  return [
    { name: "name", label: t`Name`, required: true },
    { name: "organization_id", label: t`Organization`, picker: OrganizationSelect, initial: org },
    { name: "description", label: t`Description`, kind: "lines", wide: true },
    { name: "path", label: t`Path`, description: t`Where its sources live, if anywhere.`, kind: "code" },
    { name: "tests_dir_path", label: t`Tests directory`, description: t`Relative to the path.`, kind: "code", initial: "tests" },
  ];
}

export function NewProject() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/projects/new" });
  const navigate = useNavigate();
  return (
    <NewRecord
      title={t`New project`}
      submitLabel={t`Create project`}
      fields={useFields()}
      collection={projects}
      onCancel={() => void navigate({ to: "/$tenant/projects", params: { tenant } })}
      onCreated={({ id }) => navigate({ to: "/$tenant/projects/$project", params: { tenant, project: id } })}
    />
  );
}

export function EditProject() {
  const { t } = useLingui();
  const params = useParams({ from: "/$tenant/projects/$project/edit" });
  const navigate = useNavigate();
  return (
    <EditRecord
      id={params.project}
      title={t`Edit project`}
      permission="projects:write"
      fields={useFields()}
      collection={projects}
      onDone={() => navigate({ to: "/$tenant/projects/$project", params })}
    />
  );
}
