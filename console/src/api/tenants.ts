import { queryOptions } from "@tanstack/react-query";
import { client, data, loose } from "./client";
import type { Json } from "./json";
import type { paths } from "./schema";
import { tenants } from "./resources";

export type Import = Json<paths["/api/v1/tenants/import"]["post"]["responses"][202]>;

/** Chunks are folded into the file when they come to so much, so that the browser may keep it on disk. */
const FOLDED = 16 << 20;

/** In which place of the installation a tenant's data is. */
export function placeQuery(id: string) {
  return queryOptions({
    queryKey: [...tenants.key, "place", id],
    queryFn: ({ signal }) => data(client.GET("/api/v1/tenants/{id}/place", { params: { path: { id } }, signal })),
    retry: false,
  });
}

export async function suspendTenant(id: string): Promise<void> {
  await data(client.POST("/api/v1/tenants/{id}/suspend", { params: { path: { id } } }));
}

export async function resumeTenant(id: string): Promise<void> {
  await data(client.POST("/api/v1/tenants/{id}/resume", { params: { path: { id } } }));
}

export async function moveTenant(id: string, place: string): Promise<void> {
  await data(client.POST("/api/v1/tenants/{id}/move", { params: { path: { id } }, body: { place } }));
}

/** Begins to erase a tenant; `slug` confirms which. */
export async function eraseTenant(id: string, slug: string): Promise<void> {
  await data(client.DELETE("/api/v1/tenants/{id}", { params: { path: { id }, query: { confirm: slug } } }));
}

/** A header holds bytes, and a passphrase is read as UTF-8. */
function header(passphrase: string): string {
  return String.fromCharCode(...new TextEncoder().encode(passphrase));
}

export interface Export {
  passphrase: string;
  /** Whether the members' password hashes are in the file. */
  passwords: boolean;
}

/** A tenant as one sealed file; `onBytes` is told how much of it has come. */
export async function exportTenant(id: string, { passphrase, passwords }: Export, onBytes: (bytes: number) => void): Promise<Blob> {
  const init = {
    params: { path: { id }, query: { passwords: passwords || undefined } },
    headers: { "steward-passphrase": header(passphrase) },
    parseAs: "stream",
  };
  const stream = (await data(loose.POST("/api/v1/tenants/{id}/export", init))) as ReadableStream<Uint8Array<ArrayBuffer>>;
  const reader = stream.getReader();
  let parts: BlobPart[] = [];
  let received = 0;
  let pending = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts, { type: "application/octet-stream" });
    parts.push(value);
    received += value.length;
    pending += value.length;
    if (pending > FOLDED) {
      parts = [new Blob(parts)];
      pending = 0;
    }
    onBytes(received);
  }
}

/** Sends a file that an export wrote; answers what goes on then. */
export async function importTenant(file: File, passphrase: string, slug: string | undefined): Promise<Import> {
  const headers = { "content-type": "application/octet-stream", "steward-passphrase": header(passphrase) };
  return (await data(loose.POST("/api/v1/tenants/import", { params: { query: { slug } }, headers, body: file, bodySerializer: (body: File) => body }))) as Import;
}
