import { Trans, useLingui } from "@lingui/react/macro";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Ticket } from "lucide-react";
import { RecordName } from "~/api/names";
import { OrganizationSelect } from "~/api/pickers";
import { type EnrollmentToken, enrollmentTokens } from "~/api/resources";
import { useSession } from "~/api/session";
import { allOf } from "~/lib/filter";
import type { Column } from "~/ui/data-table";
import type { Field } from "~/ui/fields";
import { useOrg, useOrgFilter } from "~/ui/org";
import { orderBy, useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";
import { Expiry, useExpiryField } from "./expiry";
import { SecretsPage } from "./secrets-page";

export default function EnrollmentTokensPage() {
  const { t } = useLingui();
  const view = useTableView();
  const { tenant } = useSession();
  const org = useOrg() ?? "";
  const orgFilter = useOrgFilter();
  const expiry = useExpiryField("30");
  const filter = allOf(orgFilter, view.filter);
  const query = useInfiniteQuery({ ...enrollmentTokens.list({ filter, orderBy: orderBy(view.sort) ?? "name asc" }), placeholderData: keepPreviousData });
  const columns: Column<EnrollmentToken>[] = [
    { id: "name", header: t`Name`, sortBy: "name", cell: (k) => k.name },
    { id: "organization", header: t`Organization`, wide: true, cell: (k) => <RecordName id={k.organization_id} /> },
    { id: "uses", header: t`Used`, numeric: true, cell: (k) => (k.max_uses ? `${k.uses ?? 0} / ${k.max_uses}` : (k.uses ?? 0)) },
    { id: "expires", header: t`Expires`, cell: (k) => <Expiry at={k.expires_at} /> },
    { id: "created", header: t`Created`, wide: true, cell: (k) => <TimeAgo value={k.created_at} /> },
  ];
  const uses = (text: string) => (text === "" || /^[1-9]\d{0,5}$/.test(text) ? null : t`A whole number, or nothing for any number.`);
  const fields: Field[] = [
    { name: "name", label: t`Name`, description: t`Where it will be used.`, required: true },
    { name: "organization_id", label: t`Organization`, picker: OrganizationSelect, initial: org },
    { name: "max_uses", label: t`Uses`, description: t`Nothing for any number.`, kind: "number", validate: uses },
    expiry,
  ];
  return (
    <SecretsPage
      title={t`Enrolment tokens`}
      summary={t`What an agent shows once to become a device of this tenant.`}
      kind="enrollment_token"
      collection={enrollmentTokens}
      query={query}
      filter={filter}
      view={view}
      columns={columns}
      filterExample={`name:"berlin"`}
      fields={fields}
      words={{ make: t`New enrolment token`, submit: t`Create token`, made: t`Your new enrolment token`, deleted: t`No further device can enrol with it. Devices that did stay.` }}
      empty={{
        icon: <Ticket size={26} />,
        title: t`No enrolment tokens`,
        text: <Trans>A token lets machines enrol themselves, up to a number of uses and a date.</Trans>,
        command: `steward admin enroll-token --data ./steward-data --tenant ${tenant.slug}`,
      }}
      example={(secret) => `steward agent run --server ${window.location.origin} --token ${secret} --state ./steward-agent`}
    />
  );
}
