import { useLingui } from "@lingui/react/macro";
import { Anchor, type AnchorProps } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Boxes, Building2, CalendarClock, Cog, KeyRound, Landmark, type LucideIcon, Server, Ticket, UserRound } from "lucide-react";
import type { ReactNode } from "react";
import { equals } from "~/lib/filter";
import { useSession } from "./session";

/** A record of any kind: the console knows of it what all kinds have. */
export interface AnyRecord {
  id: string;
  name?: string;
  project_id?: string;
}

interface Place {
  to: string;
  search?: { filter: string };
}

interface Kind {
  /** Of its ids. */
  prefix: string;
  /** Of its collection's path, and of its permissions unless they have another one. */
  resource: string;
  guard?: string;
  icon: LucideIcon;
  /** Below the tenant; null where the console shows no record of it. */
  place(record: AnyRecord): Place | null;
}

const page = (folder: string) => (record: AnyRecord) => ({ to: `${folder}/${record.id}` });
/** Of what has no page of its own: its row in the list. */
const row = (folder: string) => (record: AnyRecord) => (record.name ? { to: folder, search: { filter: equals("name", record.name) } } : null);

/** The kinds that people meet, in the order in which they are told of. */
export const KINDS = {
  organization: { prefix: "org", resource: "organizations", icon: Building2, place: page("organizations") },
  project: { prefix: "prj", resource: "projects", icon: Boxes, place: page("projects") },
  service: { prefix: "svc", resource: "services", icon: Cog, place: (r) => (r.project_id ? page(`projects/${r.project_id}/services`)(r) : null) },
  device: { prefix: "dev", resource: "devices", icon: Server, place: page("devices") },
  api_key: { prefix: "key", resource: "api-keys", icon: KeyRound, place: row("api-keys") },
  enrollment_token: { prefix: "ent", resource: "enrollment-tokens", icon: Ticket, place: row("enrollment-tokens") },
  member: { prefix: "mem", resource: "members", guard: "users", icon: UserRound, place: page("members") },
  schedule: { prefix: "sch", resource: "schedules", icon: CalendarClock, place: page("schedules") },
  tenant: { prefix: "ten", resource: "tenants", icon: Landmark, place: page("tenants") },
} satisfies Record<string, Kind>;

export type KindName = keyof typeof KINDS;
export const KIND_NAMES = Object.keys(KINDS) as KindName[];

/** What it takes to do something with records of a kind. */
export function permissionFor(kind: KindName, verb: "read" | "write" | "delete"): string {
  const { resource, guard }: Kind = KINDS[kind];
  return `${guard ?? resource}:${verb}`;
}

/** The kind that an id belongs to. */
export function kindOf(id: string): KindName | undefined {
  const prefix = id.split("_")[0];
  return KIND_NAMES.find((name) => KINDS[name].prefix === prefix);
}

/** What each kind is called, many of them. */
export function useKindNames(): Record<KindName, string> {
  const { t } = useLingui();
  return {
    organization: t`Organizations`,
    project: t`Projects`,
    service: t`Services`,
    device: t`Devices`,
    api_key: t`API keys`,
    enrollment_token: t`Enrolment tokens`,
    member: t`Members`,
    schedule: t`Schedules`,
    tenant: t`Tenants`,
  };
}

/** Where the signed-in tenant shows a record. */
export function usePlaces(): (kind: KindName, record: AnyRecord) => Place | null {
  const { tenant } = useSession();
  return (kind, record) => {
    const place = KINDS[kind].place(record);
    return place && { ...place, to: `/${tenant.slug}/${place.to}` };
  };
}

interface RecordLinkProps extends AnchorProps {
  kind: KindName;
  record: AnyRecord;
  children: ReactNode;
}

/** A link to a record; mere text where there is nothing to link to. */
export function RecordLink({ kind, record, children, ...props }: RecordLinkProps) {
  const place = usePlaces()(kind, record);
  if (!place) return <>{children}</>;
  return (
    <Anchor component={Link} to={place.to} search={(place.search ?? {}) as never} className="target" inherit {...props}>
      {children}
    </Anchor>
  );
}
