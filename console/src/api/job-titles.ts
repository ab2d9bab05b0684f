import { useLingui } from "@lingui/react/macro";

/** What a job does; of a kind that the console does not know, its name. */
export function useJobTitle(): (kind: string) => string {
  const { t } = useLingui();
  const known: Record<string, string> = {
    back_up: t`Back up the installation`,
    empty_recycle_bin: t`Empty the recycle bin`,
    import_rows: t`Import rows`,
    reconcile: t`Reconcile`,
    redeliver: t`Deliver an event again`,
    rotate_data_key: t`New key for secrets`,
    run_saga: t`Run a saga`,
    tick: t`Wait for a schedule`,
    verify_backup: t`Verify a backup`,
    verify_events: t`Verify the event chain`,
  };
  return (kind) => known[kind] ?? kind.replaceAll("_", " ");
}
