/** The JSON of an operation's answer: pages name operations and leave the names of schemas to the server. */
export type Json<R> = R extends { content: { "application/json": infer T } } ? T : never;

/** The rows of a list's answer. */
export type RowOf<R> = Json<R> extends { data: (infer T)[] } ? T : never;
