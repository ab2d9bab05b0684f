import { useCan } from "~/api/session";
import { BACK_UP, BIN } from "~/lib/schedule-payload";

/** The jobs that may be put on a schedule, each with the permission to start it. */
export function useSchedulable(): string[] {
  const may: Record<string, boolean> = {
    [BIN]: useCan("recycle-bin:delete"),
    [BACK_UP]: useCan("platform:execute"),
    verify_backup: useCan("platform:execute"),
    rotate_data_key: useCan("data-keys:execute"),
    verify_events: useCan("audit:execute"),
  };
  return Object.keys(may).filter((kind) => may[kind]);
}
