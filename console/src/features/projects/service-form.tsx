import { useLingui } from "@lingui/react/macro";
import { NativeSelect, Textarea, TextInput } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { DeviceSelect } from "~/api/pickers";
import { type Service, type ServiceInput, services, type Tagged } from "~/api/resources";
import { toLocalInput } from "~/lib/format";
import { Fields, Wide } from "~/ui/fields";
import { Page } from "~/ui/page";
import { RecordForm } from "~/ui/record-form";
import { Loaded } from "~/ui/record-tools";

const EMPTY = {
  name: "",
  status: "unknown",
  health: "unknown",
  url: "",
  port: "",
  version: "",
  container_name: "",
  device_id: "",
  last_deployment_at: "",
  uptime_seconds: "",
  description: "",
};
type Values = typeof EMPTY;

function useLabels() {
  const { t } = useLingui();
  return {
    name: t`Name`,
    status: t`Status`,
    health: t`Health`,
    url: t`URL`,
    port: t`Port`,
    version: t`Version`,
    container_name: t`Container`,
    device_id: t`Device`,
    last_deployment_at: t`Deployed`,
    uptime_seconds: t`Uptime in seconds`,
    description: t`Description`,
  };
}

function useValidation() {
  const { t } = useLingui();
  return {
    name: (value: string) => (value.trim() ? null : t`This is needed.`),
    port: (value: string) => (value === "" || (/^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535) ? null : t`A number from 1 to 65535.`),
    uptime_seconds: (value: string) => (value === "" || /^\d{1,12}$/.test(value) ? null : t`A whole number of seconds.`),
  };
}

const number = (text: string) => (text === "" ? null : Number(text));

function toFields({ port, uptime_seconds, last_deployment_at, ...rest }: Values) {
  const deployed = last_deployment_at === "" ? null : new Date(last_deployment_at).toISOString();
  return { ...rest, port: number(port), uptime_seconds: number(uptime_seconds), last_deployment_at: deployed };
}

export function NewService() {
  const { t } = useLingui();
  const { tenant, project } = useParams({ from: "/$tenant/projects/$project/services/new" });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const labels = useLabels();
  const validate = useValidation();
  return (
    <Page title={t`New service`} narrow>
      <RecordForm
        initial={EMPTY}
        validate={validate}
        toFields={toFields}
        fieldLabels={labels}
        submitLabel={t`Create service`}
        onCancel={() => void navigate({ to: "/$tenant/projects/$project", params: { tenant, project } })}
        save={{
          kind: "create",
          create: async (fields) => {
            await services.create({ ...fields, project_id: project } as ServiceInput);
            await queries.invalidateQueries({ queryKey: services.key });
            await navigate({ to: "/$tenant/projects/$project", params: { tenant, project } });
          },
        }}
      >
        {(form) => <ServiceFields form={form} labels={labels} />}
      </RecordForm>
    </Page>
  );
}

export function EditService() {
  const { t } = useLingui();
  const { service } = useParams({ from: "/$tenant/projects/$project/services/$service/edit" });
  return (
    <Loaded query={useQuery(services.get(service))} title={t`Edit service`} permission="services:write">
      {(tagged) => <EditForm tagged={tagged} />}
    </Loaded>
  );
}

function EditForm({ tagged }: { tagged: Tagged<Service> }) {
  const { t } = useLingui();
  const params = useParams({ from: "/$tenant/projects/$project/services/$service/edit" });
  const { service } = params;
  const navigate = useNavigate();
  const queries = useQueryClient();
  const labels = useLabels();
  const validate = useValidation();
  const back = () => navigate({ to: "/$tenant/projects/$project/services/$service", params });
  // The stored instant is compared with what the form makes of it: to the second, so that an untouched field is no change.
  const stored = { ...tagged.record, last_deployment_at: toFields(fromRecord(tagged.record)).last_deployment_at };
  return (
    <Page title={t`Edit ${tagged.record.name}`} narrow>
      <RecordForm
        initial={fromRecord(tagged.record)}
        validate={validate}
        toFields={toFields}
        fieldLabels={labels}
        submitLabel={t`Save`}
        onCancel={() => void back()}
        tagged={{ record: stored, etag: tagged.etag }}
        save={{
          kind: "edit",
          update: async (etag, patch) => {
            queries.setQueryData(services.get(service).queryKey, await services.update(service, etag, patch));
            await queries.invalidateQueries({ queryKey: services.key });
            await back();
          },
          reload: () => queries.fetchQuery({ ...services.get(service), staleTime: 0 }),
        }}
      >
        {(form) => <ServiceFields form={form} labels={labels} />}
      </RecordForm>
    </Page>
  );
}

function fromRecord(s: Service): Values {
  return {
    name: s.name,
    status: s.status ?? "unknown",
    health: s.health ?? "unknown",
    url: s.url ?? "",
    port: s.port?.toString() ?? "",
    version: s.version ?? "",
    container_name: s.container_name ?? "",
    device_id: s.device_id ?? "",
    last_deployment_at: s.last_deployment_at ? toLocalInput(Date.parse(s.last_deployment_at)) : "",
    uptime_seconds: s.uptime_seconds?.toString() ?? "",
    description: s.description ?? "",
  };
}

function ServiceFields({ form, labels }: { form: UseFormReturnType<Values>; labels: Record<keyof Values, string> }) {
  const { t } = useLingui();
  const states = [
    { value: "running", label: t`Running` },
    { value: "stopped", label: t`Stopped` },
    { value: "unknown", label: t`Unknown` },
  ];
  const healths = [
    { value: "healthy", label: t`Healthy` },
    { value: "warning", label: t`Warning` },
    { value: "critical", label: t`Critical` },
    { value: "unknown", label: t`Unknown` },
  ];
  return (
    <Fields>
      <TextInput label={labels.name} required autoFocus {...form.getInputProps("name")} />
      <DeviceSelect {...form.getInputProps("device_id")} onChange={(id) => form.setFieldValue("device_id", id ?? "")} />
      <NativeSelect label={labels.status} data={states} {...form.getInputProps("status")} />
      <NativeSelect label={labels.health} data={healths} {...form.getInputProps("health")} />
      <TextInput label={labels.url} type="url" placeholder="https://" {...form.getInputProps("url")} />
      <TextInput label={labels.port} inputMode="numeric" {...form.getInputProps("port")} />
      <TextInput label={labels.version} spellCheck={false} {...form.getInputProps("version")} />
      <TextInput label={labels.container_name} spellCheck={false} {...form.getInputProps("container_name")} />
      <TextInput label={labels.last_deployment_at} type="datetime-local" step={1} {...form.getInputProps("last_deployment_at")} />
      <TextInput label={labels.uptime_seconds} inputMode="numeric" {...form.getInputProps("uptime_seconds")} />
      <Wide>
        <Textarea label={labels.description} autosize minRows={2} {...form.getInputProps("description")} />
      </Wide>
    </Fields>
  );
}
