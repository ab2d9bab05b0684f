import { useLingui } from "@lingui/react/macro";
import { TextInput } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { OrganizationSelect } from "~/api/pickers";
import { type Device, devices, type Tagged } from "~/api/resources";
import { Fields, Wide } from "~/ui/fields";
import { Page } from "~/ui/page";
import { RecordForm } from "~/ui/record-form";
import { Loaded } from "~/ui/record-tools";

export default function EditDevice() {
  const { t } = useLingui();
  const { device } = useParams({ from: "/$tenant/devices/$device/edit" });
  return (
    <Loaded query={useQuery(devices.get(device))} title={t`Edit device`} permission="devices:write">
      {(tagged) => <EditForm tagged={tagged} />}
    </Loaded>
  );
}

interface Values extends Record<string, string> {
  name: string;
  organization_id: string;
  tags: string;
}

const toFields = ({ name, organization_id, tags }: Values) => ({
  name,
  organization_id,
  tags: [...new Set(tags.split(",").map((x) => x.trim()))].filter((x) => x !== ""),
});

function EditForm({ tagged }: { tagged: Tagged<Device> }) {
  const { t } = useLingui();
  const { tenant, device } = useParams({ from: "/$tenant/devices/$device/edit" });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { record } = tagged;
  const back = () => navigate({ to: "/$tenant/devices/$device", params: { tenant, device } });
  const labels = { name: t`Name`, organization_id: t`Organization`, tags: t`Tags` };
  const initial: Values = { name: record.name, organization_id: record.organization_id ?? "", tags: (record.tags ?? []).join(", ") };
  return (
    <Page title={t`Edit ${record.name}`} narrow>
      <RecordForm
        initial={initial}
        validate={{ name: (value) => (value.trim() ? null : t`This is needed.`) }}
        toFields={toFields}
        fieldLabels={labels}
        submitLabel={t`Save`}
        onCancel={() => void back()}
        tagged={{ record: { ...record, tags: record.tags ?? [] }, etag: tagged.etag }}
        save={{
          kind: "edit",
          update: async (etag, patch) => {
            queries.setQueryData(devices.get(device).queryKey, await devices.update(device, etag, patch));
            await queries.invalidateQueries({ queryKey: devices.key });
            await back();
          },
          reload: () => queries.fetchQuery({ ...devices.get(device), staleTime: 0 }),
        }}
      >
        {(form) => (
          <Fields>
            <TextInput label={labels.name} required autoFocus {...form.getInputProps("name")} />
            <OrganizationSelect {...form.getInputProps("organization_id")} onChange={(id) => form.setFieldValue("organization_id", id ?? "")} />
            <Wide>
              <TextInput label={labels.tags} description={t`Separated by commas.`} spellCheck={false} {...form.getInputProps("tags")} />
            </Wide>
          </Fields>
        )}
      </RecordForm>
    </Page>
  );
}
