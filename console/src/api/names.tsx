import { useQuery } from "@tanstack/react-query";
import { type AnyRecord, kindOf, RecordLink } from "./kinds";
import { apiKeys, devices, enrollmentTokens, organizations, projects, services } from "./resources";

const KNOWN = { device: devices, project: projects, organization: organizations, service: services, api_key: apiKeys, enrollment_token: enrollmentTokens };
type Known = keyof typeof KNOWN;

/** Records that people know by a name, by their kinds. Only what all of them have is read. */
const COLLECTIONS = KNOWN as unknown as Record<Known, Pick<typeof organizations, "get">>;

function knownKind(id: string): Known | null {
  const kind = kindOf(id);
  return kind && kind in COLLECTIONS ? (kind as Known) : null;
}

interface RecordNameProps {
  id: string | null | undefined;
  /** The name, where the caller has it. */
  known?: string | undefined;
}

/** A record by its name, as a link where the console shows it; its id while the name is on its way, and when there is none. */
export function RecordName({ id, known }: RecordNameProps) {
  const kind = id ? knownKind(id) : null;
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
