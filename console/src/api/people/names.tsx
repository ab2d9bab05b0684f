import { useQuery, useQueryClient } from "@tanstack/react-query";
import { RecordLink } from "../kinds";
import { useCan, useSession } from "../session";
import { memberOfPersonQuery, personQuery } from "./people";

/** Name and address of a member; one's own are at hand. Undefined while they are on their way, and for who may not see them. */
export function usePerson(member: { id: string; person_id: string }) {
  const { person } = useSession();
  const own = member.person_id === person.id;
  const { data } = useQuery({ ...personQuery(member.id), enabled: !own });
  return own ? person : data;
}

/** A person by their own id: by name, with a link to their membership; their id where that is all one may know. */
export function PersonName({ id }: { id: string }) {
  const { person } = useSession();
  const queries = useQueryClient();
  const canRead = useCan("users:read");
  const own = id === person.id;
  const { data } = useQuery({ ...memberOfPersonQuery(queries, id), enabled: canRead && !own });
  if (own) return <>{person.name}</>;
  if (!data) return <span className="mono">{id}</span>;
  return (
    <RecordLink kind="member" record={{ id: data.member }}>
      {data.person.name}
    </RecordLink>
  );
}

/** A membership by the name of who has it. */
export function MemberName({ id }: { id: string }) {
  const canRead = useCan("users:read");
  const { data } = useQuery({ ...personQuery(id), enabled: canRead });
  return (
    <RecordLink kind="member" record={{ id }}>
      {data?.name ?? <span className="mono">{id}</span>}
    </RecordLink>
  );
}
