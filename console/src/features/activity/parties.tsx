import { TextLink } from "~/ui/links";
import { useSession } from "~/api/session";

/** What an event is about: a link where there is a page for it. */
export function Subject({ id }: { id: string }) {
  const { tenant } = useSession();
  const text = <span className="mono">{id}</span>;
  const link = { className: "target", inherit: true } as const;
  if (id.startsWith("dev_"))
    return (
      <TextLink to="/$tenant/devices/$device" params={{ tenant: tenant.slug, device: id }} {...link}>
        {text}
      </TextLink>
    );
  if (id.startsWith("prj_"))
    return (
      <TextLink to="/$tenant/projects/$project" params={{ tenant: tenant.slug, project: id }} {...link}>
        {text}
      </TextLink>
    );
  if (id.startsWith("org_"))
    return (
      <TextLink to="/$tenant/organizations/$organization" params={{ tenant: tenant.slug, organization: id }} {...link}>
        {text}
      </TextLink>
    );
  return text;
}

/** Who did it: oneself by name, others by id. */
export function Actor({ id }: { id: string }) {
  const { person } = useSession();
  return id === person.id ? person.name : <span className="mono">{id}</span>;
}
