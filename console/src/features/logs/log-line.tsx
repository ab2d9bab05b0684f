import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { CircleMinus, CirclePlus } from "lucide-react";
import { useState } from "react";
import { RecordName } from "~/api/names";
import { type LogRow, logContextQuery } from "~/api/telemetry";
import { allOf, equals } from "~/lib/filter";
import { formatLogTime } from "~/lib/format";
import { asApiError } from "~/lib/problem";
import { CopyButton } from "~/ui/copy";
import { ErrorCard, LoadingBlock } from "~/ui/states";
import classes from "./logs.module.css";

interface LogLineProps {
  row: LogRow;
  open: boolean;
  onToggle(): void;
  scope: string | undefined;
  onCondition(condition: string): void;
}

const SHORT: Record<string, string> = { trace: "TRACE", debug: "DEBUG", info: "INFO", warn: "WARN", error: "ERROR", critical: "CRIT" };

export function LogLine({ row, open, onToggle, scope, onCondition }: LogLineProps) {
  const stamp = formatLogTime(Date.parse(row.time));
  return (
    <div className={classes.line} data-open={open || undefined}>
      <button type="button" className={classes.head} aria-expanded={open} onClick={onToggle} data-line data-severity={row.severity}>
        <time dateTime={row.time}>
          <span className={classes.date}>{stamp.slice(0, 11)}</span>
          {stamp.slice(11)}
        </time>
        <span className={classes.severity}>{SHORT[row.severity] ?? row.severity}</span>
        <span className={classes.service}>{row.service ?? ""}</span>
        <span className={classes.message}>{row.message}</span>
      </button>
      {open && <LineDetails row={row} scope={scope} onCondition={onCondition} />}
    </div>
  );
}

function LineDetails({ row, scope, onCondition }: { row: LogRow; scope: string | undefined; onCondition(condition: string): void }) {
  const { t } = useLingui();
  const [context, setContext] = useState(false);
  const fixed: [string, unknown][] = [
    ["severity", row.severity],
    ["service", row.service],
    ["trace_id", row.trace_id],
    ["span_id", row.span_id],
    ["project_id", row.project_id],
    ["service_id", row.service_id],
    ["organization_id", row.organization_id],
  ];
  const attributes = Object.entries(row.attributes ?? {}).map(([key, value]): [string, unknown] => [`attributes.${key}`, value]);
  const fields = [...fixed, ...attributes].filter(([, value]) => value !== null && value !== undefined && value !== "");
  return (
    <div className={classes.details}>
      <pre className={classes.full}>{row.message}</pre>
      <dl className={classes.attributes}>
        {row.device_id && (
          <div>
            <dt>device</dt>
            <dd>
              <RecordName id={row.device_id} />
            </dd>
          </div>
        )}
        {fields.map(([key, value]) => (
          <div key={key}>
            <dt className="mono">{key.replace(/^attributes\./, "")}</dt>
            <dd>
              <span className="mono">{typeof value === "string" ? value : JSON.stringify(value)}</span>
              <Narrow field={key} value={value} onCondition={onCondition} />
            </dd>
          </div>
        ))}
      </dl>
      <div className={classes.tools}>
        <Button size="xs" variant="default" aria-expanded={context} onClick={() => setContext((c) => !c)}>
          {context ? <Trans>Hide context</Trans> : <Trans>Lines around it</Trans>}
        </Button>
        <CopyButton value={JSON.stringify(row, null, 2)} label={t`Copy as JSON`} />
      </div>
      {context && <Context row={row} scope={scope} />}
    </div>
  );
}

/** Adds "only this value" or "not this value" to the filter. */
function Narrow({ field, value, onCondition }: { field: string; value: unknown; onCondition(condition: string): void }) {
  const { t } = useLingui();
  if (typeof value === "object") return null;
  // A key that is not a plain path cannot be named in a filter.
  if (!/^[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*$/.test(field)) return null;
  const condition = typeof value === "string" ? equals(field, value) : `${field} = ${String(value)}`;
  return (
    <span className={classes.narrow}>
      <Tooltip label={t`Only this value`}>
        <ActionIcon size={24} aria-label={t`Only ${field} with this value`} onClick={() => onCondition(condition)}>
          <CirclePlus size={14} />
        </ActionIcon>
      </Tooltip>
      <Tooltip label={t`Not this value`}>
        <ActionIcon size={24} aria-label={t`Not ${field} with this value`} onClick={() => onCondition(`NOT ${condition}`)}>
          <CircleMinus size={14} />
        </ActionIcon>
      </Tooltip>
    </span>
  );
}

const CONTEXT_LINES = 10;

/** What the same device logged just before and after. */
function Context({ row, scope }: { row: LogRow; scope: string | undefined }) {
  const filter = row.device_id ? equals("device_id", row.device_id) : allOf(scope, row.service ? equals("service", row.service) : undefined);
  const { data, error, refetch } = useQuery(logContextQuery(row, filter, CONTEXT_LINES));
  if (error && !data) return <ErrorCard error={asApiError(error)} onRetry={() => void refetch()} compact />;
  if (!data) return <LoadingBlock height={120} />;
  return (
    <ol className={classes.context}>
      {data.map((r) => (
        <li key={r.id} data-severity={r.severity} aria-current={r.id === row.id ? "true" : undefined}>
          <time dateTime={r.time}>{formatLogTime(Date.parse(r.time)).slice(11)}</time>
          <span className={classes.severity}>{SHORT[r.severity] ?? r.severity}</span>
          <span>{r.message}</span>
        </li>
      ))}
    </ol>
  );
}
