import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Undo2 } from "lucide-react";
import { Fragment } from "react";
import { changesOf } from "~/lib/changes";
import { asApiError } from "~/lib/problem";
import { useNow } from "~/ui/clock";
import { TimeAgo } from "~/ui/time-ago";
import { toast } from "~/ui/toasts";
import { type Collected, COLLECTIONS } from "../collections";
import type { Event } from "../events";
import { permissionFor } from "../kinds";
import { Actor } from "../parties";
import { useCan } from "../session";
import { undoRequest } from "../undo";
import { useFieldNames } from "./field-names";
import { FieldValue } from "./field-value";
import classes from "./history.module.css";

/** How long a request can be undone. */
const UNDO_MS = 86_400_000;
/** The kinds of which a change can be undone: of the others each change is looked at by whoever owns them. */
const UNDONE: readonly Collected[] = ["organization", "project", "service", "device"];

interface HappeningProps {
  kind: Collected;
  event: Event;
  /** Nothing happened to the record since. */
  isLast: boolean;
}

/** One event of a record's history. */
export function Happening({ kind, event, isLast }: HappeningProps) {
  const names = useFieldNames();
  const verb = event.type.slice(kind.length + 1);
  const changes = verb === "updated" ? changesOf(event.data) : [];
  return (
    <li>
      <div className={classes.head}>
        <strong>
          <Verb verb={verb} />
        </strong>
        <span className={classes.who}>
          <Actor id={event.actor} /> · <TimeAgo value={event.time} />
        </span>
        {isLast && verb === "updated" && UNDONE.includes(kind) && <UndoButton kind={kind} event={event} />}
      </div>
      {changes.length > 0 && (
        <dl className={classes.changes}>
          {changes.map(({ field, before, after }) => (
            <Fragment key={field}>
              <dt>{names[field] ?? <span className="mono">{field}</span>}</dt>
              <dd>
                <del>
                  <FieldValue value={before} />
                </del>
                <span aria-hidden>→</span>
                <ins>
                  <FieldValue value={after} />
                </ins>
              </dd>
            </Fragment>
          ))}
        </dl>
      )}
    </li>
  );
}

function Verb({ verb }: { verb: string }) {
  if (verb === "created") return <Trans>Created</Trans>;
  if (verb === "updated") return <Trans>Changed</Trans>;
  if (verb === "deleted") return <Trans>Deleted</Trans>;
  if (verb === "restored") return <Trans>Restored</Trans>;
  if (verb === "erased") return <Trans>Erased</Trans>;
  if (verb === "exported") return <Trans>Exported</Trans>;
  if (verb === "moved") return <Trans>Moved</Trans>;
  if (verb === "registered") return <Trans>Enrolled</Trans>;
  return <span className="mono">{verb}</span>;
}

/** Gives the record its former values, and whatever else the same request changed. */
function UndoButton({ kind, event }: { kind: Collected; event: Event }) {
  const { t } = useLingui();
  const now = useNow();
  const queries = useQueryClient();
  const canWrite = useCan(permissionFor(kind, "write"));
  const request = event.correlation_id;
  const undoing = useMutation({
    mutationFn: undoRequest,
    onSuccess: async () => {
      toast(t`The change was undone`);
      await queries.invalidateQueries({ queryKey: COLLECTIONS[kind].key });
    },
    onError: (error) => toast(t`The change could not be undone: ${asApiError(error).message}`, { failed: true }),
  });
  if (!canWrite || !request || now - Date.parse(event.time) > UNDO_MS) return null;
  return (
    <Button size="compact-xs" variant="default" leftSection={<Undo2 size={13} />} loading={undoing.isPending} onClick={() => undoing.mutate(request)}>
      <Trans>Undo this change</Trans>
    </Button>
  );
}
