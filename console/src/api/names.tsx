import { Anchor } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { apiKeys, devices, enrollmentTokens, organizations, projects, services } from "./resources";
import { useSession } from "./session";

const KNOWN = { dev: devices, prj: projects, org: organizations, svc: services, key: apiKeys, ent: enrollmentTokens };
type Prefix = keyof typeof KNOWN;

/** Records that people know by a name, by the prefix of their ids. Only the name is read, which all of them have. */
const COLLECTIONS = KNOWN as unknown as Record<Prefix, Pick<typeof organizations, "get">>;

function prefixOf(id: string): Prefix | null {
  const prefix = id.split("_")[0] ?? "";
  return prefix in COLLECTIONS ? (prefix as Prefix) : null;
}

const PLACES: Partial<Record<Prefix, string>> = { dev: "devices", prj: "projects", org: "organizations" };

interface RecordNameProps {
  id: string | null | undefined;
  /** The name, where the caller has it. */
  known?: string | undefined;
}

/** A record by its name, as a link where it has a page of its own; its id while the name is on its way, and when there is none. */
export function RecordName({ id, known }: RecordNameProps) {
  const { tenant } = useSession();
  const prefix = id ? prefixOf(id) : null;
  const { data } = useQuery({ ...COLLECTIONS[prefix ?? "dev"].get(id ?? ""), enabled: prefix !== null && known === undefined, staleTime: 60_000, retry: false });
  if (!id) return <>–</>;
  const name = known ?? data?.record.name;
  const text = name ?? <span className="mono">{id}</span>;
  const place = prefix && PLACES[prefix];
  if (!place) return <>{text}</>;
  return (
    <Anchor component={Link} to={`/${tenant.slug}/${place}/${id}`} className="target" inherit>
      {text}
    </Anchor>
  );
}
