import { Trans } from "@lingui/react/macro";
import type { Event } from "./events";
import { useJobTitle } from "./job-titles";
import { RecordName } from "./names";
import { MemberName, PersonName } from "./people/names";
import { useSession } from "./session";

/** What an event is about, by the name that it carries or that the record has now; what belongs to oneself alone, by one's own. */
export function Subject({ event }: { event: Event }) {
  const { person } = useSession();
  const { after, before } = (event.data ?? {}) as Partial<Record<"after" | "before", Record<string, unknown>>>;
  const said = { ...before, ...after };
  if (typeof said.name === "string") return <RecordName id={event.subject} known={said.name} />;
  if (said.person_id === person.id) return <>{person.name}</>;
  if (event.type.startsWith("member.")) return <MemberName id={event.subject} />;
  return <RecordName id={event.subject} />;
}

/** Who did it: people and keys by name, the server by the part of it. */
export function Actor({ id }: { id: string }) {
  const { person } = useSession();
  const jobTitle = useJobTitle();
  if (id === person.id) return person.name;
  const [, job, other] = /^system:(?:job:(.+)|(.+))$/.exec(id) ?? [];
  const part = job ? jobTitle(job) : other?.replaceAll("-", " ");
  if (part) return <Trans>Steward, {part}</Trans>;
  if (id.startsWith("per_")) return <PersonName id={id} />;
  return <RecordName id={id} />;
}
