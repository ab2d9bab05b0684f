import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Skeleton, Text, Title } from "@mantine/core";
import { CircleAlert, Lock, SearchX } from "lucide-react";
import type { ReactNode } from "react";
import { ApiError, UNREACHABLE } from "~/lib/problem";
import { CodeLine, CopyButton } from "./copy";
import classes from "./states.module.css";

/** What went wrong, in words, and what to do about it. */
function useCause(error: ApiError): { cause: string; next: string } {
  const { t } = useLingui();
  if (error.status === UNREACHABLE && error.code === "unreachable")
    return { cause: t`The server does not answer.`, next: t`Check that Steward is running and that this browser can reach it, then try again.` };
  if (error.status === UNREACHABLE) return { cause: t`The console ran into a fault of its own.`, next: t`Reload the page. If it happens again, please report it with the details below.` };
  if (error.status === 401) return { cause: t`Your session has ended.`, next: t`Sign in again; this page will be waiting.` };
  if (error.status === 404) return { cause: t`There is nothing here.`, next: t`It may have been deleted, or the link belongs to another tenant.` };
  if (error.status === 409) return { cause: t`This clashes with something that already exists.`, next: t`Change the value named below and try again.` };
  if (error.status === 429) return { cause: t`Too many requests in a short time.`, next: t`Wait a moment, then try again.` };
  if (error.status === 503) return { cause: t`The server is too busy or still starting.`, next: t`Try again in a few seconds.` };
  if (error.status >= 500) return { cause: t`The server failed to answer this request.`, next: t`Try again. If it keeps failing, look up the request id in the server's log.` };
  return { cause: t`The server refused this request.`, next: t`Correct what is named below and try again.` };
}

/** The one error card. */
export function ErrorCard({ error, onRetry, compact }: { error: ApiError; onRetry?: () => void; compact?: boolean }) {
  const { t } = useLingui();
  const { cause, next } = useCause(error);
  const report = [cause, error.detail, `code ${error.code}`, error.status ? `status ${error.status}` : null, error.requestId ? `request ${error.requestId}` : null]
    .filter(Boolean)
    .join("\n");
  return (
    <div className={classes.card} data-tone="error" data-compact={compact || undefined} role="alert">
      <CircleAlert className={classes.icon} size={compact ? 18 : 22} aria-hidden />
      <div className={classes.body}>
        <Text fw={600}>{cause}</Text>
        {error.detail && <Text size="sm">{error.detail}</Text>}
        {error.fields.length > 0 && (
          <ul className={classes.fields}>
            {error.fields.map((f) => (
              <li key={`${f.pointer}${f.code}`}>
                <span className="mono">{f.pointer}</span> {f.detail}
              </li>
            ))}
          </ul>
        )}
        <Text size="sm" c="dimmed">
          {next}
        </Text>
        <div className={classes.foot}>
          {onRetry && (
            <Button size="xs" variant="default" onClick={onRetry}>
              <Trans>Try again</Trans>
            </Button>
          )}
          <Text size="xs" c="dimmed" className="mono">
            {error.requestId ?? error.code}
          </Text>
          <CopyButton value={report} label={t`Copy error details`} />
        </div>
      </div>
    </div>
  );
}

/** Known but not allowed: which permission is missing and who can grant it. */
export function NoPermission({ permission }: { permission?: string }) {
  return (
    <div className={classes.empty}>
      <Lock size={26} className={classes.emptyIcon} aria-hidden />
      <Title order={2}>
        <Trans>You may not see this</Trans>
      </Title>
      <Text c="dimmed" size="sm">
        {permission ? (
          <Trans>
            It needs the permission <code className="mono">{permission}</code>. An owner or admin of this tenant can grant it.
          </Trans>
        ) : (
          <Trans>Your role does not include it. An owner or admin of this tenant can grant it.</Trans>
        )}
      </Text>
    </div>
  );
}

interface EmptyStateProps {
  icon: ReactNode;
  title: string;
  /** One sentence: what this is. */
  children: ReactNode;
  action?: ReactNode;
  /** The command line that does the same. */
  command?: string;
  /** Where that is typed, when it is no terminal. */
  from?: string;
}

export function EmptyState({ icon, title, children, action, command, from }: EmptyStateProps) {
  const { t } = useLingui();
  return (
    <div className={classes.empty}>
      <span className={classes.emptyIcon}>{icon}</span>
      <Title order={2}>{title}</Title>
      <Text c="dimmed" size="sm" maw={460}>
        {children}
      </Text>
      {action}
      {command && (
        <div className={classes.command}>
          <Text size="xs" c="dimmed" mb={4}>
            {from ?? <Trans>From a terminal</Trans>}
          </Text>
          <CodeLine value={command} label={t`Command`} />
        </div>
      )}
    </div>
  );
}

/** Something exists, but the filter hides it. */
export function NothingMatches({ onClear }: { onClear: () => void }) {
  return (
    <div className={classes.empty}>
      <SearchX size={26} className={classes.emptyIcon} aria-hidden />
      <Title order={2}>
        <Trans>Nothing matches</Trans>
      </Title>
      <Text c="dimmed" size="sm">
        <Trans>No entry fits the current filter.</Trans>
      </Text>
      <Button variant="default" size="xs" onClick={onClear}>
        <Trans>Clear filter</Trans>
      </Button>
    </div>
  );
}

export function LoadingBlock({ height = 180 }: { height?: number }) {
  const { t } = useLingui();
  return (
    <div role="status" aria-label={t`Loading`}>
      <Skeleton height={height} radius="md" />
    </div>
  );
}

/** The state of anything that failed to load: refusal and failure look different. */
export function Failure({ error, permission, onRetry }: { error: ApiError; permission?: string; onRetry?: () => void }) {
  if (error.status === 403) return <NoPermission {...(permission ? { permission } : {})} />;
  return <ErrorCard error={error} {...(onRetry ? { onRetry } : {})} />;
}
