import type { QueryClient } from "@tanstack/react-query";
import { createRootRouteWithContext, createRoute, lazyRouteComponent, Outlet, redirect, retainSearchParams } from "@tanstack/react-router";
import { sessionQuery } from "~/api/session";
import { pickSearch } from "~/lib/search";
import { RANGE_KEYS } from "~/ui/range-view";
import { TABLE_KEYS } from "~/ui/table-view";
import { NotFound, RootFault, RootNotFound } from "./shell/faults";

export interface RouterContext {
  queries: QueryClient;
}

// Every address of the console, in one list. Pages load lazily; what the URL may carry stands beside its route.

const root = createRootRouteWithContext<RouterContext>()({
  component: Outlet,
  notFoundComponent: RootNotFound,
  errorComponent: RootFault,
});

const index = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: async ({ context }) => {
    const session = await context.queries.ensureQueryData(sessionQuery);
    throw session ? redirect({ to: "/$tenant", params: { tenant: session.tenant.slug }, replace: true }) : redirect({ to: "/sign-in", replace: true });
  },
});

const setup = createRoute({
  getParentRoute: () => root,
  path: "setup",
  component: lazyRouteComponent(() => import("~/features/entry/setup-page")),
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "sign-in",
  validateSearch: (search) => pickSearch(search, ["next", "tenant"]),
  component: lazyRouteComponent(() => import("~/features/entry/sign-in-page")),
});

const password = createRoute({
  getParentRoute: () => root,
  path: "sign-in/code",
  component: lazyRouteComponent(() => import("~/features/entry/password-page")),
});

const tenant = createRoute({
  getParentRoute: () => root,
  path: "$tenant",
  validateSearch: (search) => pickSearch(search, ["org"]),
  search: { middlewares: [retainSearchParams(["org"])] },
  beforeLoad: async ({ context, location, params }) => {
    const session = await context.queries.ensureQueryData(sessionQuery);
    if (!session) throw redirect({ to: "/sign-in", search: { next: location.href, tenant: params.tenant } });
  },
  component: lazyRouteComponent(() => import("./shell/tenant-shell")),
  errorComponent: RootFault,
  notFoundComponent: NotFound,
});

const overview = createRoute({
  getParentRoute: () => tenant,
  path: "/",
  component: lazyRouteComponent(() => import("~/features/overview/overview-page")),
});

const organizations = createRoute({
  getParentRoute: () => tenant,
  path: "organizations",
  validateSearch: (search) => pickSearch(search, TABLE_KEYS),
  component: lazyRouteComponent(() => import("~/features/organizations/organizations-page")),
});

const organizationNew = createRoute({
  getParentRoute: () => tenant,
  path: "organizations/new",
  component: lazyRouteComponent(() => import("~/features/organizations/organization-form"), "NewOrganization"),
});

const organization = createRoute({
  getParentRoute: () => tenant,
  path: "organizations/$organization",
  component: lazyRouteComponent(() => import("~/features/organizations/organization-page")),
});

const organizationEdit = createRoute({
  getParentRoute: () => tenant,
  path: "organizations/$organization/edit",
  component: lazyRouteComponent(() => import("~/features/organizations/organization-form"), "EditOrganization"),
});

const projects = createRoute({
  getParentRoute: () => tenant,
  path: "projects",
  validateSearch: (search) => pickSearch(search, TABLE_KEYS),
  component: lazyRouteComponent(() => import("~/features/projects/projects-page")),
});

const projectNew = createRoute({
  getParentRoute: () => tenant,
  path: "projects/new",
  component: lazyRouteComponent(() => import("~/features/projects/project-form"), "NewProject"),
});

const project = createRoute({
  getParentRoute: () => tenant,
  path: "projects/$project",
  validateSearch: (search) => pickSearch(search, TABLE_KEYS),
  component: lazyRouteComponent(() => import("~/features/projects/project-page")),
});

const projectEdit = createRoute({
  getParentRoute: () => tenant,
  path: "projects/$project/edit",
  component: lazyRouteComponent(() => import("~/features/projects/project-form"), "EditProject"),
});

const serviceNew = createRoute({
  getParentRoute: () => tenant,
  path: "projects/$project/services/new",
  component: lazyRouteComponent(() => import("~/features/projects/service-form"), "NewService"),
});

const service = createRoute({
  getParentRoute: () => tenant,
  path: "projects/$project/services/$service",
  validateSearch: (search) => pickSearch(search, ["tab", "filter", "level", "live", ...RANGE_KEYS]),
  component: lazyRouteComponent(() => import("./service-route")),
});

const serviceEdit = createRoute({
  getParentRoute: () => tenant,
  path: "projects/$project/services/$service/edit",
  component: lazyRouteComponent(() => import("~/features/projects/service-form"), "EditService"),
});

const devices = createRoute({
  getParentRoute: () => tenant,
  path: "devices",
  validateSearch: (search) => pickSearch(search, TABLE_KEYS),
  component: lazyRouteComponent(() => import("~/features/devices/devices-page")),
});

const deviceAdd = createRoute({
  getParentRoute: () => tenant,
  path: "devices/add",
  component: lazyRouteComponent(() => import("~/features/devices/add-device-page")),
});

const device = createRoute({
  getParentRoute: () => tenant,
  path: "devices/$device",
  validateSearch: (search) => pickSearch(search, ["tab", "filter", "level", "live", ...RANGE_KEYS]),
  component: lazyRouteComponent(() => import("./device-route")),
});

const deviceEdit = createRoute({
  getParentRoute: () => tenant,
  path: "devices/$device/edit",
  component: lazyRouteComponent(() => import("~/features/devices/device-form")),
});

const logs = createRoute({
  getParentRoute: () => tenant,
  path: "logs",
  validateSearch: (search) => pickSearch(search, ["filter", "level", "live", ...RANGE_KEYS]),
  component: lazyRouteComponent(() => import("~/features/logs/logs-page")),
});

const search = createRoute({
  getParentRoute: () => tenant,
  path: "search",
  validateSearch: (search) => pickSearch(search, ["q", "kind"]),
  component: lazyRouteComponent(() => import("~/features/search/search-page")),
});

const activity = createRoute({
  getParentRoute: () => tenant,
  path: "activity",
  validateSearch: (search) => pickSearch(search, TABLE_KEYS),
  component: lazyRouteComponent(() => import("~/features/activity/activity-page")),
});

const jobs = createRoute({
  getParentRoute: () => tenant,
  path: "jobs",
  validateSearch: (search) => pickSearch(search, ["state", "cols"]),
  component: lazyRouteComponent(() => import("~/features/jobs/jobs-page")),
});

const job = createRoute({
  getParentRoute: () => tenant,
  path: "jobs/$job",
  validateSearch: (search) => pickSearch(search, ["of"]),
  component: lazyRouteComponent(() => import("~/features/jobs/job-page")),
});

const imports = createRoute({
  getParentRoute: () => tenant,
  path: "import",
  validateSearch: (search) => pickSearch(search, ["of"]),
  component: lazyRouteComponent(() => import("~/features/imports/import-page")),
});

const recycleBin = createRoute({
  getParentRoute: () => tenant,
  path: "recycle-bin",
  validateSearch: (search) => pickSearch(search, ["kind", ...TABLE_KEYS]),
  component: lazyRouteComponent(() => import("~/features/recycle-bin/recycle-bin-page")),
});

const apiKeys = createRoute({
  getParentRoute: () => tenant,
  path: "api-keys",
  validateSearch: (search) => pickSearch(search, TABLE_KEYS),
  component: lazyRouteComponent(() => import("~/features/access/api-keys-page")),
});

const enrollmentTokens = createRoute({
  getParentRoute: () => tenant,
  path: "enrollment-tokens",
  validateSearch: (search) => pickSearch(search, TABLE_KEYS),
  component: lazyRouteComponent(() => import("~/features/access/enrollment-tokens-page")),
});

const members = createRoute({
  getParentRoute: () => tenant,
  path: "members",
  validateSearch: (search) => pickSearch(search, TABLE_KEYS),
  component: lazyRouteComponent(() => import("~/features/access/members-page")),
});

const member = createRoute({
  getParentRoute: () => tenant,
  path: "members/$member",
  component: lazyRouteComponent(() => import("~/features/access/member-page")),
});

const schedules = createRoute({
  getParentRoute: () => tenant,
  path: "schedules",
  validateSearch: (search) => pickSearch(search, TABLE_KEYS),
  component: lazyRouteComponent(() => import("~/features/schedules/schedules-page")),
});

const scheduleNew = createRoute({
  getParentRoute: () => tenant,
  path: "schedules/new",
  validateSearch: (search) => pickSearch(search, ["job"]),
  component: lazyRouteComponent(() => import("~/features/schedules/schedule-form"), "NewSchedule"),
});

const schedule = createRoute({
  getParentRoute: () => tenant,
  path: "schedules/$schedule",
  component: lazyRouteComponent(() => import("~/features/schedules/schedule-page")),
});

const scheduleEdit = createRoute({
  getParentRoute: () => tenant,
  path: "schedules/$schedule/edit",
  component: lazyRouteComponent(() => import("~/features/schedules/schedule-form"), "EditSchedule"),
});

const tenants = createRoute({
  getParentRoute: () => tenant,
  path: "tenants",
  validateSearch: (search) => pickSearch(search, TABLE_KEYS),
  component: lazyRouteComponent(() => import("~/features/tenants/tenants-page")),
});

const tenantNew = createRoute({
  getParentRoute: () => tenant,
  path: "tenants/new",
  component: lazyRouteComponent(() => import("~/features/tenants/new-tenant")),
});

const tenantImport = createRoute({
  getParentRoute: () => tenant,
  path: "tenants/import",
  validateSearch: (search) => pickSearch(search, ["saga", "id"]),
  component: lazyRouteComponent(() => import("~/features/tenants/import-tenant")),
});

const tenantOne = createRoute({
  getParentRoute: () => tenant,
  path: "tenants/$id",
  component: lazyRouteComponent(() => import("~/features/tenants/tenant-page")),
});

const backups = createRoute({
  getParentRoute: () => tenant,
  path: "backups",
  validateSearch: (search) => pickSearch(search, ["cols"]),
  component: lazyRouteComponent(() => import("~/features/backups/backups-page")),
});

const backup = createRoute({
  getParentRoute: () => tenant,
  path: "backups/$backup",
  component: lazyRouteComponent(() => import("~/features/backups/backup-page")),
});

export const routeTree = root.addChildren([
  index,
  setup,
  signIn,
  password,
  tenant.addChildren([
    overview,
    organizations,
    organizationNew,
    organization,
    organizationEdit,
    projects,
    projectNew,
    project,
    projectEdit,
    serviceNew,
    service,
    serviceEdit,
    devices,
    deviceAdd,
    device,
    deviceEdit,
    logs,
    search,
    activity,
    recycleBin,
    jobs,
    job,
    schedules,
    scheduleNew,
    schedule,
    scheduleEdit,
    imports,
    members,
    member,
    apiKeys,
    enrollmentTokens,
    tenants,
    tenantNew,
    tenantImport,
    tenantOne,
    backups,
    backup,
  ]),
]);
