/** The kinds whose records can come back; credentials stay revoked. */
export const BINNED = ["project", "service", "device", "organization"] as const;
export type Binned = (typeof BINNED)[number];
