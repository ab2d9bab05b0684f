import { useLingui } from "@lingui/react/macro";
import { Textarea, TextInput } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { type Organization, type OrganizationInput, organizations, type Tagged } from "~/api/resources";
import { Fields, Wide } from "~/ui/fields";
import { Page } from "~/ui/page";
import { RecordForm } from "~/ui/record-form";
import { Loaded } from "~/ui/record-tools";

const EMPTY = { name: "", slug: "", website: "", contact_name: "", contact_email: "", notes: "" };
type Values = typeof EMPTY;

function useLabels() {
  const { t } = useLingui();
  return { name: t`Name`, slug: t`Address`, website: t`Website`, contact_name: t`Contact`, contact_email: t`Contact e-mail`, notes: t`Notes` };
}

function useValidation() {
  const { t } = useLingui();
  return { name: (value: string) => (value.trim() ? null : t`This is needed.`) };
}

const toFields = (values: Values) => ({ ...values });

export function NewOrganization() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/organizations/new" });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const labels = useLabels();
  const validate = useValidation();
  return (
    <Page title={t`New organization`} narrow>
      <RecordForm
        initial={EMPTY}
        validate={validate}
        toFields={toFields}
        fieldLabels={labels}
        submitLabel={t`Create organization`}
        onCancel={() => void navigate({ to: "/$tenant/organizations", params: { tenant } })}
        save={{
          kind: "create",
          create: async (fields) => {
            const created = await organizations.create(fields as OrganizationInput);
            await queries.invalidateQueries({ queryKey: organizations.key });
            await navigate({ to: "/$tenant/organizations/$organization", params: { tenant, organization: created.id } });
          },
        }}
      >
        {(form) => <OrganizationFields form={form} labels={labels} />}
      </RecordForm>
    </Page>
  );
}

export function EditOrganization() {
  const { t } = useLingui();
  const { organization } = useParams({ from: "/$tenant/organizations/$organization/edit" });
  return (
    <Loaded query={useQuery(organizations.get(organization))} title={t`Edit organization`} permission="organizations:write">
      {(tagged) => <EditForm tagged={tagged} />}
    </Loaded>
  );
}

function EditForm({ tagged }: { tagged: Tagged<Organization> }) {
  const { t } = useLingui();
  const { tenant, organization } = useParams({ from: "/$tenant/organizations/$organization/edit" });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const labels = useLabels();
  const validate = useValidation();
  const back = () => navigate({ to: "/$tenant/organizations/$organization", params: { tenant, organization } });
  return (
    <Page title={t`Edit ${tagged.record.name}`} narrow>
      <RecordForm
        initial={fromRecord(tagged.record)}
        validate={validate}
        toFields={toFields}
        fieldLabels={labels}
        submitLabel={t`Save`}
        onCancel={() => void back()}
        tagged={tagged}
        save={{
          kind: "edit",
          update: async (etag, patch) => {
            queries.setQueryData(organizations.get(organization).queryKey, await organizations.update(organization, etag, patch));
            await queries.invalidateQueries({ queryKey: organizations.key });
            await back();
          },
          reload: () => queries.fetchQuery({ ...organizations.get(organization), staleTime: 0 }),
        }}
      >
        {(form) => <OrganizationFields form={form} labels={labels} />}
      </RecordForm>
    </Page>
  );
}

function fromRecord(o: Organization): Values {
  return {
    name: o.name,
    slug: o.slug ?? "",
    website: o.website ?? "",
    contact_name: o.contact_name ?? "",
    contact_email: o.contact_email ?? "",
    notes: o.notes ?? "",
  };
}

function OrganizationFields({ form, labels }: { form: UseFormReturnType<Values>; labels: Record<keyof Values, string> }) {
  const { t } = useLingui();
  return (
    <Fields>
      <TextInput label={labels.name} required autoFocus {...form.getInputProps("name")} />
      <TextInput label={labels.slug} description={t`A short name for links.`} spellCheck={false} {...form.getInputProps("slug")} />
      <TextInput label={labels.contact_name} {...form.getInputProps("contact_name")} />
      <TextInput label={labels.contact_email} type="email" {...form.getInputProps("contact_email")} />
      <Wide>
        <TextInput label={labels.website} type="url" placeholder="https://" {...form.getInputProps("website")} />
      </Wide>
      <Wide>
        <Textarea label={labels.notes} autosize minRows={3} {...form.getInputProps("notes")} />
      </Wide>
    </Fields>
  );
}
