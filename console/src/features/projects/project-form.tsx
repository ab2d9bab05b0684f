import { useLingui } from "@lingui/react/macro";
import { Textarea, TextInput } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { OrganizationSelect } from "~/api/pickers";
import { type Project, type ProjectInput, projects, type Tagged } from "~/api/resources";
import { Fields, Wide } from "~/ui/fields";
import { useOrg } from "~/ui/org";
import { Page } from "~/ui/page";
import { RecordForm } from "~/ui/record-form";
import { Loaded } from "~/ui/record-tools";

const EMPTY = { name: "", description: "", organization_id: "", path: "", tests_dir_path: "tests" };
type Values = typeof EMPTY;

function useLabels() {
  const { t } = useLingui();
  return { name: t`Name`, description: t`Description`, organization_id: t`Organization`, path: t`Path`, tests_dir_path: t`Tests directory` };
}

function useValidation() {
  const { t } = useLingui();
  return { name: (value: string) => (value.trim() ? null : t`This is needed.`) };
}

const toFields = (values: Values) => ({ ...values });

export function NewProject() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/projects/new" });
  const org = useOrg();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const labels = useLabels();
  const validate = useValidation();
  return (
    <Page title={t`New project`} narrow>
      <RecordForm
        initial={{ ...EMPTY, organization_id: org ?? "" }}
        validate={validate}
        toFields={toFields}
        fieldLabels={labels}
        submitLabel={t`Create project`}
        onCancel={() => void navigate({ to: "/$tenant/projects", params: { tenant } })}
        save={{
          kind: "create",
          create: async (fields) => {
            const created = await projects.create(fields as ProjectInput);
            await queries.invalidateQueries({ queryKey: projects.key });
            await navigate({ to: "/$tenant/projects/$project", params: { tenant, project: created.id } });
          },
        }}
      >
        {(form) => <ProjectFields form={form} labels={labels} />}
      </RecordForm>
    </Page>
  );
}

export function EditProject() {
  const { t } = useLingui();
  const { project } = useParams({ from: "/$tenant/projects/$project/edit" });
  return (
    <Loaded query={useQuery(projects.get(project))} title={t`Edit project`} permission="projects:write">
      {(tagged) => <EditForm tagged={tagged} />}
    </Loaded>
  );
}

function EditForm({ tagged }: { tagged: Tagged<Project> }) {
  const { t } = useLingui();
  const { tenant, project } = useParams({ from: "/$tenant/projects/$project/edit" });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const labels = useLabels();
  const validate = useValidation();
  const back = () => navigate({ to: "/$tenant/projects/$project", params: { tenant, project } });
  const { record } = tagged;
  const initial: Values = {
    name: record.name,
    description: record.description ?? "",
    organization_id: record.organization_id ?? "",
    path: record.path ?? "",
    tests_dir_path: record.tests_dir_path ?? "",
  };
  return (
    <Page title={t`Edit ${record.name}`} narrow>
      <RecordForm
        initial={initial}
        validate={validate}
        toFields={toFields}
        fieldLabels={labels}
        submitLabel={t`Save`}
        onCancel={() => void back()}
        tagged={tagged}
        save={{
          kind: "edit",
          update: async (etag, patch) => {
            queries.setQueryData(projects.get(project).queryKey, await projects.update(project, etag, patch));
            await queries.invalidateQueries({ queryKey: projects.key });
            await back();
          },
          reload: () => queries.fetchQuery({ ...projects.get(project), staleTime: 0 }),
        }}
      >
        {(form) => <ProjectFields form={form} labels={labels} />}
      </RecordForm>
    </Page>
  );
}

function ProjectFields({ form, labels }: { form: UseFormReturnType<Values>; labels: Record<keyof Values, string> }) {
  const { t } = useLingui();
  return (
    <Fields>
      <TextInput label={labels.name} required autoFocus {...form.getInputProps("name")} />
      <OrganizationSelect {...form.getInputProps("organization_id")} onChange={(id) => form.setFieldValue("organization_id", id ?? "")} />
      <Wide>
        <Textarea label={labels.description} autosize minRows={2} {...form.getInputProps("description")} />
      </Wide>
      <TextInput label={labels.path} description={t`Where its sources live, if anywhere.`} spellCheck={false} {...form.getInputProps("path")} />
      <TextInput label={labels.tests_dir_path} description={t`Relative to the path.`} spellCheck={false} {...form.getInputProps("tests_dir_path")} />
    </Fields>
  );
}
