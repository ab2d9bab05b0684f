import { useLingui } from "@lingui/react/macro";
import { useNavigate, useParams } from "@tanstack/react-router";
import { DeviceSelect } from "~/api/pickers";
import { services } from "~/api/resources";
import type { Field } from "~/ui/fields";
import { EditRecord, NewRecord } from "~/ui/record-pages";

const LAST_PORT = 65_535;

function useFields(): Field[] {
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
  const port = (text: string) => (text === "" || (/^[1-9]\d{0,4}$/.test(text) && Number(text) <= LAST_PORT) ? null : t`A number from 1 to 65535.`);
  const seconds = (text: string) => (text === "" || /^\d{1,12}$/.test(text) ? null : t`A whole number of seconds.`);
  return [
    { name: "name", label: t`Name`, required: true },
    { name: "device_id", label: t`Device`, picker: DeviceSelect },
    { name: "status", label: t`Status`, kind: "choice", choices: states, initial: "unknown" },
    { name: "health", label: t`Health`, kind: "choice", choices: healths, initial: "unknown" },
    { name: "url", label: t`URL`, kind: "url", placeholder: "https://" },
    { name: "port", label: t`Port`, kind: "number", validate: port },
    { name: "version", label: t`Version`, kind: "code" },
    { name: "container_name", label: t`Container`, kind: "code" },
    { name: "last_deployment_at", label: t`Deployed`, kind: "moment" },
    { name: "uptime_seconds", label: t`Uptime in seconds`, kind: "number", validate: seconds },
    { name: "description", label: t`Description`, kind: "lines", wide: true },
  ];
}

export function NewService() {
  const { t } = useLingui();
  const params = useParams({ from: "/$tenant/projects/$project/services/new" });
  const navigate = useNavigate();
  const toProject = () => navigate({ to: "/$tenant/projects/$project", params });
  return (
    <NewRecord
      title={t`New service`}
      submitLabel={t`Create service`}
      fields={useFields()}
      collection={services}
      given={{ project_id: params.project }}
      onCancel={() => void toProject()}
      onCreated={toProject}
    />
  );
}

export function EditService() {
  const { t } = useLingui();
  const params = useParams({ from: "/$tenant/projects/$project/services/$service/edit" });
  const navigate = useNavigate();
  return (
    <EditRecord
      id={params.service}
      title={t`Edit service`}
      permission="services:write"
      fields={useFields()}
      collection={services}
      onDone={() => navigate({ to: "/$tenant/projects/$project/services/$service", params })}
    />
  );
}
