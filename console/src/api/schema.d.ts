/**
 * The HTTP contract as openapi-typescript shapes it. `npm run generate` replaces this file from ../api/openapi.json.
 */
interface Answer<T> {
  headers: Record<string, unknown>;
  content: { "application/json": T };
}
interface Empty {
  headers: Record<string, unknown>;
  content?: never;
}
interface Failure {
  headers: Record<string, unknown>;
  content: { "application/problem+json": components["schemas"]["Problem"] };
}
interface Get<Q, P, T> {
  parameters: { query?: Q; path: P; header?: Record<string, string>; cookie?: never };
  requestBody?: never;
  responses: { 200: Answer<T>; default: Failure };
}
interface Read<Q, T> {
  parameters: { query?: Q; path?: never; header?: Record<string, string>; cookie?: never };
  requestBody?: never;
  responses: { 200: Answer<T>; default: Failure };
}
interface Post<B, T> {
  parameters: { query?: never; path?: never; header?: Record<string, string>; cookie?: never };
  requestBody: { content: { "application/json": B } };
  responses: { 201: Answer<T>; default: Failure };
}
interface Patch<B, T> {
  parameters: { query?: never; path: { id: string }; header?: Record<string, string>; cookie?: never };
  requestBody: { content: { "application/merge-patch+json": Partial<B> } };
  responses: { 200: Answer<T>; default: Failure };
}
interface Remove {
  parameters: { query?: never; path: { id: string }; header?: Record<string, string>; cookie?: never };
  requestBody?: never;
  responses: { 204: Empty; default: Failure };
}
interface ListParameters {
  filter?: string;
  order_by?: string;
  limit?: number;
  cursor?: string;
  count?: "exact";
}
interface Page<T> {
  data: T[];
  next_cursor?: string | null;
  has_more: boolean;
  count?: number;
}
interface Stored {
  id: string;
  revision: number;
  created_at: string;
  created_by: string;
  updated_at: string;
  updated_by: string;
}
interface Collection<Row, Draft, Created = Row> {
  get: Read<ListParameters, Page<Row>>;
  post: Post<Draft, Created>;
}
interface Single<Row, Draft> {
  get: Get<never, { id: string }, Row>;
  patch: Patch<Draft, Row>;
  delete: Remove;
}
type Schemas = components["schemas"];

export interface paths {
  "/version": { get: Read<never, Schemas["Version"]> };
  "/auth/setup": { get: Read<never, { open: boolean }>; post: Post<Schemas["SetupInput"], Schemas["Session"]> };
  "/auth/login": {
    post: {
      parameters: { query?: never; path?: never; header?: Record<string, string>; cookie?: never };
      requestBody: { content: { "application/json": Schemas["LoginInput"] } };
      responses: { 200: Answer<Schemas["Session"]>; default: Failure };
    };
  };
  "/auth/logout": {
    post: {
      parameters: { query?: never; path?: never; header?: Record<string, string>; cookie?: never };
      requestBody?: never;
      responses: { 204: Empty; default: Failure };
    };
  };
  "/auth/session": { get: Read<never, Schemas["Session"]> };
  "/api/v1/organizations": Collection<Schemas["Organization"], Schemas["OrganizationInput"]>;
  "/api/v1/organizations/{id}": Single<Schemas["Organization"], Schemas["OrganizationInput"]>;
  "/api/v1/projects": Collection<Schemas["Project"], Schemas["ProjectInput"]>;
  "/api/v1/projects/{id}": Single<Schemas["Project"], Schemas["ProjectInput"]>;
  "/api/v1/services": Collection<Schemas["Service"], Schemas["ServiceInput"]>;
  "/api/v1/services/{id}": Single<Schemas["Service"], Schemas["ServiceInput"]>;
  "/api/v1/devices": { get: Read<ListParameters, Page<Schemas["Device"]>> };
  "/api/v1/devices/{id}": Single<Schemas["Device"], Schemas["DeviceInput"]>;
  "/api/v1/devices/{id}/presence": { get: Get<never, { id: string }, Schemas["Presence"]> };
  "/api/v1/api-keys": Collection<Schemas["ApiKey"], Schemas["ApiKeyInput"], Schemas["ApiKey"] & { secret: string }>;
  "/api/v1/api-keys/{id}": Single<Schemas["ApiKey"], Schemas["ApiKeyInput"]>;
  "/api/v1/enrollment-tokens": Collection<Schemas["EnrollmentToken"], Schemas["EnrollmentTokenInput"], Schemas["EnrollmentToken"] & { secret: string }>;
  "/api/v1/enrollment-tokens/{id}": Single<Schemas["EnrollmentToken"], Schemas["EnrollmentTokenInput"]>;
  "/api/v1/events": { get: Read<{ after?: number; limit?: number; filter?: string }, Page<Schemas["Event"]>> };
  "/api/v1/logs": {
    get: Read<
      { from?: string; to?: string; filter?: string; order?: "asc" | "desc"; limit?: number; cursor?: string },
      { data: Schemas["LogRow"][]; next_cursor?: string | null; has_more: boolean }
    >;
  };
  "/api/v1/logs/histogram": { get: Read<{ from?: string; to?: string; filter?: string; step?: number }, Schemas["LogHistogram"]> };
  "/api/v1/metrics": { get: Read<{ device_id?: string; filter?: string }, { data: Schemas["Metric"][] }> };
  "/api/v1/metrics/series": {
    get: Read<
      {
        name: string;
        filter?: string;
        from?: string;
        to?: string;
        step?: number;
        aggregate?: "avg" | "min" | "max" | "sum" | "last" | "rate" | "count";
        group_by?: string;
      },
      Schemas["MetricSeries"]
    >;
  };
}

export interface components {
  schemas: {
    Problem: {
      type: string;
      title: string;
      status: number;
      detail?: string | null;
      instance?: string | null;
      code: string;
      request_id?: string | null;
      errors?: { pointer: string; code: string; detail: string }[];
    };
    Version: { version: string };
    TenantRef: { id: string; slug: string; name: string };
    Session: {
      person: { id: string; email: string; name: string };
      tenant: Schemas["TenantRef"];
      tenants: Schemas["TenantRef"][];
      permissions: { allow: string[]; deny: string[] };
      expires_at: string;
    };
    SetupInput: { token: string; email: string; name: string; password: string; tenant_name: string; tenant_slug: string };
    LoginInput: { email: string; password: string; tenant?: string };
    OrganizationInput: {
      name: string;
      slug?: string | null;
      website?: string | null;
      contact_name?: string | null;
      contact_email?: string | null;
      notes?: string | null;
    };
    Organization: Stored & Schemas["OrganizationInput"];
    ProjectInput: { name: string; path?: string | null; tests_dir_path?: string | null; description?: string | null; organization_id?: string | null };
    Project: Stored & Schemas["ProjectInput"];
    ServiceInput: {
      project_id: string;
      name: string;
      port?: number | null;
      url?: string | null;
      status?: "running" | "stopped" | "unknown";
      health?: "healthy" | "warning" | "critical" | "unknown";
      uptime_seconds?: number | null;
      version?: string | null;
      last_deployment_at?: string | null;
      container_name?: string | null;
      description?: string | null;
      device_id?: string | null;
    };
    Service: Stored & Schemas["ServiceInput"];
    DeviceInput: { name: string; organization_id?: string | null; tags?: string[] };
    Device: Stored & {
      name: string;
      hostname: string;
      organization_id?: string | null;
      tags?: string[];
      os: { family: string; name: string; version: string; kernel: string; arch: string };
      hardware: { cpu_model?: string | null; cpu_count: number; memory_bytes: number; machine_id: string };
      agent_version: string;
      status: "online" | "stale" | "offline";
      status_reason: string;
      last_seen?: string | null;
    };
    Presence: {
      status: "online" | "stale" | "offline";
      reason: string;
      last_heartbeat?: string | null;
      uptime_seconds?: number | null;
      spool_bytes?: number | null;
      dropped_total?: number | null;
    };
    ApiKeyInput: { name: string; permissions?: string[]; expires_at?: string | null };
    ApiKey: Stored & Schemas["ApiKeyInput"] & { last_used_at?: string | null };
    EnrollmentTokenInput: { name: string; organization_id?: string | null; max_uses?: number | null; expires_at?: string | null };
    EnrollmentToken: Stored & Schemas["EnrollmentTokenInput"] & { uses?: number | null };
    Event: {
      id: string;
      position: number;
      type: string;
      version: number;
      subject: string;
      actor: string;
      time: string;
      origin?: Record<string, unknown> | null;
      trace_id?: string | null;
      data: unknown;
    };
    LogRow: {
      id: string;
      time: string;
      severity: "trace" | "debug" | "info" | "warn" | "error" | "critical";
      service?: string | null;
      message: string;
      device_id?: string | null;
      project_id?: string | null;
      service_id?: string | null;
      organization_id?: string | null;
      trace_id?: string | null;
      span_id?: string | null;
      attributes?: Record<string, unknown>;
    };
    LogHistogram: { step_seconds: number; buckets: { time: string; counts: Record<string, number> }[] };
    Metric: { name: string; unit: string; kind: string };
    MetricSeries: {
      name: string;
      unit: string;
      step_seconds: number;
      series: { labels: Record<string, string>; points: [number, number][] }[];
    };
  };
}
