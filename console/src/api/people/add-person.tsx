import { Trans, useLingui } from "@lingui/react/macro";
import { useQueryClient } from "@tanstack/react-query";
import { FieldDialog } from "~/ui/field-dialog";
import type { Field } from "~/ui/fields";
import { type Member, members } from "../resources";
import { addMember } from "./people";
import { useRoles } from "./roles";

interface AddPersonProps {
  title: string;
  /** Another tenant than one's own, which is for the operator. */
  tenant?: string;
  /** The role that is offered first. */
  role: string;
  onClose(): void;
  onAdded(email: string, member: Member): void;
}

/** Makes a person a member of a tenant. */
export function AddPerson({ title, tenant, role, onClose, onAdded }: AddPersonProps) {
  const { t } = useLingui();
  const queries = useQueryClient();
  const roles = useRoles();
  const fields: Field[] = [
    { name: "email", label: t`E-mail`, kind: "email", required: true },
    { name: "name", label: t`Name`, description: t`As people call them. Whoever is known here already keeps their own.`, required: true },
    { name: "roles", label: t`Role`, kind: "choice", initial: role, choices: roles.map(({ name, label }) => ({ value: name, label })), toValue: (text) => [text], explain: (text) => roles.find((known) => known.name === text)?.purpose ?? null },
  ];
  return (
    <FieldDialog
      title={title}
      lead={<Trans>Whoever is new to this installation sets a password with a code, which only those who run the installation can make.</Trans>}
      submitLabel={t`Add`}
      fields={fields}
      send={async (values) => {
        const newcomer = values as { email: string; name: string; roles: string[] };
        return { email: newcomer.email, member: await addMember(newcomer, tenant) };
      }}
      onClose={onClose}
      onDone={({ email, member }) => {
        void queries.invalidateQueries({ queryKey: members.key });
        onAdded(email, member);
      }}
    />
  );
}
