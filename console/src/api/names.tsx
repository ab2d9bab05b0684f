import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Anchor } from "@mantine/core";
import { devices, organizations } from "./resources";
import { useSession } from "./session";

/** An organization by its name, as a link; its id while the name is on its way. */
export function OrganizationName({ id }: { id: string | null | undefined }) {
  const { tenant } = useSession();
  const { data } = useQuery({ ...organizations.get(id ?? ""), enabled: Boolean(id), staleTime: 60_000, retry: false });
  if (!id) return <>–</>;
  return (
    <Anchor component={Link} to={`/${tenant.slug}/organizations/${id}`} className="target" inherit>
      {data?.record.name ?? <span className="mono">{id}</span>}
    </Anchor>
  );
}

export function DeviceName({ id }: { id: string | null | undefined }) {
  const { tenant } = useSession();
  const { data } = useQuery({ ...devices.get(id ?? ""), enabled: Boolean(id), staleTime: 60_000, retry: false });
  if (!id) return <>–</>;
  return (
    <Anchor component={Link} to={`/${tenant.slug}/devices/${id}`} className="target" inherit>
      {data?.record.name ?? <span className="mono">{id}</span>}
    </Anchor>
  );
}
