import { useLingui } from "@lingui/react/macro";
import { type QueryKey, type UseQueryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import type { Flat } from "~/lib/merge-patch";
import type { Field } from "./fields";
import { Page } from "./page";
import { RecordForm, type Stored } from "./record-form";
import { Loaded } from "./record-tools";

interface Named {
  id: string;
  name: string;
}

interface NewRecordProps<R> {
  title: string;
  submitLabel: string;
  fields: readonly Field[];
  collection: { key: QueryKey; create(body: object): Promise<R> };
  /** What a new record has that nobody types, as the project of a service. */
  given?: Flat;
  onCancel(): void;
  onCreated(record: R): Promise<void>;
}

/** The page that makes a record. */
export function NewRecord<R>({ title, submitLabel, fields, collection, given, onCancel, onCreated }: NewRecordProps<R>) {
  const queries = useQueryClient();
  const create = async (values: Flat) => {
    const created = await collection.create({ ...values, ...given });
    await queries.invalidateQueries({ queryKey: collection.key });
    await onCreated(created);
  };
  return (
    <Page title={title} narrow>
      <RecordForm fields={fields} submitLabel={submitLabel} onCancel={onCancel} save={{ kind: "create", create }} />
    </Page>
  );
}

interface EditRecordProps<T extends Stored & { record: Named }> {
  id: string;
  /** The page's title while there is no record. */
  title: string;
  permission: string;
  fields: readonly Field[];
  collection: Editable<T>;
  /** Saved or not. */
  onDone(): Promise<void>;
}

interface Editable<T> {
  key: QueryKey;
  get(id: string): UseQueryOptions<T, Error, T, string[]> & { queryKey: QueryKey };
  update(id: string, etag: string, patch: Flat): Promise<T>;
}

/** The page that changes a record. */
export function EditRecord<T extends Stored & { record: Named }>({ id, title, permission, fields, collection, onDone }: EditRecordProps<T>) {
  const { t } = useLingui();
  const queries = useQueryClient();
  const query = collection.get(id);
  const update = async (etag: string, patch: Flat) => {
    queries.setQueryData(query.queryKey, await collection.update(id, etag, patch));
    await queries.invalidateQueries({ queryKey: collection.key });
    await onDone();
  };
  return (
    <Loaded query={useQuery(query)} title={title} permission={permission}>
      {(stored) => (
        <Page title={t`Edit ${stored.record.name}`} narrow>
          <RecordForm
            fields={fields}
            submitLabel={t`Save`}
            onCancel={() => void onDone()}
            save={{ kind: "edit", stored, update, reload: () => queries.fetchQuery({ ...query, staleTime: 0 }) }}
          />
        </Page>
      )}
    </Loaded>
  );
}
