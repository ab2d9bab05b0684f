import { Trans, useLingui } from "@lingui/react/macro";
import { Badge, Button, Group } from "@mantine/core";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { KeySquare, UserPlus, UserRound } from "lucide-react";
import { useState } from "react";
import { FileTools } from "~/api/files/file-tools";
import { AddPerson } from "~/api/people/add-person";
import { PasswordCode } from "~/api/people/password-code";
import { RoleBadges } from "~/api/people/roles";
import { usePerson } from "~/api/people/names";
import { type Member, members } from "~/api/resources";
import { useCan, useSession } from "~/api/session";
import { type Column, DataTable } from "~/ui/data-table";
import { TextLink } from "~/ui/links";
import { Page } from "~/ui/page";
import { EmptyState } from "~/ui/states";
import { orderBy, useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";

/** Who belongs to the tenant, and what they may do. */
export default function MembersPage() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/members" });
  const navigate = useNavigate();
  const view = useTableView();
  const [open, setOpen] = useState<"adding" | "code" | null>(null);
  const canWrite = useCan("users:write");
  const canMakeCodes = useCan("platform:write");
  const filter = view.filter || undefined;
  const query = useInfiniteQuery({ ...members.list({ filter, orderBy: orderBy(view.sort) }), placeholderData: keepPreviousData });
  const columns: Column<Member>[] = [
    { id: "name", header: t`Name`, cell: (m) => <Name member={m} tenant={tenant} /> },
    { id: "email", header: t`E-mail`, wide: true, cell: (m) => <Address member={m} /> },
    { id: "roles", header: t`Roles`, cell: (m) => <RoleBadges roles={m.roles} /> },
    { id: "created", header: t`Member since`, wide: true, cell: (m) => <TimeAgo value={m.created_at} /> },
    { id: "id", header: t`Id`, optional: true, cell: (m) => <span className="mono">{m.id}</span> },
  ];
  const add = canWrite && (
    <Button leftSection={<UserPlus size={15} />} onClick={() => setOpen("adding")}>
      <Trans>Add a person</Trans>
    </Button>
  );
  return (
    <Page
      title={t`Members`}
      summary={t`The people of this tenant, and what they may do in it.`}
      actions={
        <>
          {canMakeCodes && (
            <Button variant="default" leftSection={<KeySquare size={15} />} onClick={() => setOpen("code")}>
              <Trans>Make a password code</Trans>
            </Button>
          )}
          {add}
        </>
      }
    >
      <DataTable
        label={t`Members`}
        query={query}
        columns={columns}
        rowKey={(m) => m.id}
        view={view}
        filterExample={`roles = "owner"`}
        permission="users:read"
        tools={<FileTools kind="member" filter={filter} />}
        empty={
          <EmptyState
            icon={<UserRound size={26} />}
            title={t`Nobody belongs to this tenant`}
            action={add}
            command={`curl -H "Authorization: Bearer $STEWARD_KEY" ${window.location.origin}/api/v1/members`}
          >
            <Trans>A member is a person with roles in this tenant; they may belong to others too.</Trans>
          </EmptyState>
        }
      />
      {open === "adding" && (
        <AddPerson
          title={t`Add a person`}
          role="user"
          onClose={() => setOpen(null)}
          onAdded={(_, { id }) => void navigate({ to: "/$tenant/members/$member", params: { tenant, member: id } })}
        />
      )}
      {open === "code" && <PasswordCode onClose={() => setOpen(null)} />}
    </Page>
  );
}

function Name({ member, tenant }: { member: Member; tenant: string }) {
  const { person } = useSession();
  const who = usePerson(member);
  return (
    <Group gap={6} wrap="nowrap">
      <TextLink to="/$tenant/members/$member" params={{ tenant, member: member.id }} className="target" inherit fw={500}>
        {who?.name ?? <span className="mono">{member.person_id}</span>}
      </TextLink>
      {member.person_id === person.id && (
        <Badge color="gray">
          <Trans>You</Trans>
        </Badge>
      )}
    </Group>
  );
}

function Address({ member }: { member: Member }) {
  return <>{usePerson(member)?.email ?? "–"}</>;
}
