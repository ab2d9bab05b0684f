import { apiKeys, devices, enrollmentTokens, members, organizations, projects, schedules, services, tenants } from "./resources";

const ALL = {
  organization: organizations,
  project: projects,
  service: services,
  device: devices,
  api_key: apiKeys,
  enrollment_token: enrollmentTokens,
  member: members,
  schedule: schedules,
  tenant: tenants,
};

export type Collected = keyof typeof ALL;

/** The collections by the kinds of their records, for what is done with records of any kind: only what all of them have is read. */
export const COLLECTIONS = ALL as unknown as Record<Collected, typeof organizations>;

export function isCollected(kind: string | undefined): kind is Collected {
  return kind !== undefined && kind in ALL;
}
