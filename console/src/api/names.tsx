import { useQuery } from "@tanstack/react-query";
import { COLLECTIONS, isCollected } from "./collections";
import { type AnyRecord, kindOf, RecordLink } from "./kinds";

interface RecordNameProps {
  id: string | null | undefined;
  /** The name, where the caller has it. */
  known?: string | undefined;
}

/** A record by its name, as a link where the console shows it; its id while the name is on its way, and when there is none. */
export function RecordName({ id, known }: RecordNameProps) {
  const found = id ? kindOf(id) : undefined;
  const kind = isCollected(found) ? found : null;
  const { data } = useQuery({ ...COLLECTIONS[kind ?? "device"].get(id ?? ""), enabled: kind !== null && known === undefined, staleTime: 60_000, retry: false });
  if (!id) return <>–</>;
  const record: AnyRecord = { id, ...data?.record, ...(known === undefined ? {} : { name: known }) };
  const text = record.name ?? <span className="mono">{id}</span>;
  if (!kind) return <>{text}</>;
  return (
    <RecordLink kind={kind} record={record}>
      {text}
    </RecordLink>
  );
}
