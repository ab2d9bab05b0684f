import { client, data } from "./client";

/** Takes back all that one request changed, by the id of its answer, or nothing of it. */
export async function undoRequest(requestId: string): Promise<void> {
  await data(client.POST("/api/v1/undo", { body: { request_id: requestId } }));
}
