import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { KeySquare, ShieldCheck, UserMinus } from "lucide-react";
import { useState } from "react";
import { RecordHistory } from "~/api/history/record-history";
import { usePerson } from "~/api/people/names";
import { PasswordCode } from "~/api/people/password-code";
import { endMembership } from "~/api/people/people";
import { RoleBadges } from "~/api/people/roles";
import { type Member, members } from "~/api/resources";
import { sessionQuery, useCan, useSession } from "~/api/session";
import { Confirm } from "~/ui/confirm";
import { TextLink } from "~/ui/links";
import { Facts, Page, Panel } from "~/ui/page";
import { Loaded } from "~/ui/record-tools";
import { TimeAgo } from "~/ui/time-ago";
import { toast } from "~/ui/toasts";
import { RolesDialog } from "./roles-dialog";

export default function MemberPage() {
  const { t } = useLingui();
  const { member } = useParams({ from: "/$tenant/members/$member" });
  return (
    <Loaded query={useQuery(members.get(member))} title={t`Member`} permission="users:read">
      {({ record }) => <MemberDetails member={record} />}
    </Loaded>
  );
}

function MemberDetails({ member }: { member: Member }) {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/members/$member" });
  const { person } = useSession();
  const who = usePerson(member);
  const canWrite = useCan("users:write");
  const canEnd = useCan("users:delete");
  const canMakeCodes = useCan("platform:write");
  const [open, setOpen] = useState<"roles" | "code" | "end" | null>(null);
  const close = () => setOpen(null);
  const name = who?.name ?? t`Member`;
  const own = member.person_id === person.id;
  return (
    <Page
      title={name}
      summary={who?.email}
      trail={
        <TextLink to="/$tenant/members" params={{ tenant }} className="target" inherit>
          <Trans>Members</Trans>
        </TextLink>
      }
      actions={
        <>
          {canMakeCodes && who && (
            <Button variant="default" leftSection={<KeySquare size={15} />} onClick={() => setOpen("code")}>
              <Trans>Make a password code</Trans>
            </Button>
          )}
          {canWrite && (
            <Button variant="default" leftSection={<ShieldCheck size={15} />} onClick={() => setOpen("roles")}>
              <Trans>Change roles</Trans>
            </Button>
          )}
          {canEnd && (
            <Button variant="default" color="red" leftSection={<UserMinus size={15} />} onClick={() => setOpen("end")}>
              {own ? <Trans>Leave this tenant</Trans> : <Trans>End membership</Trans>}
            </Button>
          )}
        </>
      }
    >
      <Panel>
        <Facts
          items={[
            [t`Roles`, <RoleBadges key="roles" roles={member.roles} />],
            [t`Member since`, <TimeAgo key="created" value={member.created_at} />],
            [t`Changed`, <TimeAgo key="updated" value={member.updated_at} />],
            [t`Id`, <span key="id" className="mono">{member.id}</span>],
          ]}
        />
      </Panel>
      <RecordHistory kind="member" id={member.id} />
      {open === "roles" && <RolesDialog member={member} name={name} onClose={close} />}
      {open === "code" && who && <PasswordCode email={who.email} onClose={close} />}
      <EndMembership member={member} name={name} opened={open === "end"} onClose={close} />
    </Page>
  );
}

interface EndMembershipProps {
  member: Member;
  name: string;
  opened: boolean;
  onClose(): void;
}

function EndMembership({ member, name, opened, onClose }: EndMembershipProps) {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/members/$member" });
  const session = useSession();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const own = member.person_id === session.person.id;
  const ended = async () => {
    if (own) {
      await navigate({ to: "/sign-in" });
      queries.clear();
      queries.setQueryData(sessionQuery.queryKey, null);
      return;
    }
    toast(t`${name} is no member any more`);
    await navigate({ to: "/$tenant/members", params: { tenant } });
    await queries.invalidateQueries({ queryKey: members.key });
  };
  return (
    <Confirm
      opened={opened}
      onClose={onClose}
      title={own ? t`Leave ${session.tenant.name}?` : t`End the membership of ${name}?`}
      consequence={
        own ? (
          <Trans>You are signed out of this tenant and get in again only when somebody adds you. If you belong to no other tenant, your name, address and password are erased.</Trans>
        ) : (
          <Trans>
            {name} is signed out of this tenant at once. What they did stays in its history. If they belong to no other tenant, their name, address and password are erased.
          </Trans>
        )
      }
      submitLabel={own ? t`Leave` : t`End membership`}
      typed={name}
      run={() => endMembership(member.id)}
      onDone={() => void ended()}
    />
  );
}
