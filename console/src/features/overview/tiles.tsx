import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Skeleton } from "@mantine/core";
import { Link, useParams } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { formatNumber } from "~/lib/format";
import { asApiError } from "~/lib/problem";
import classes from "./overview.module.css";
import { useAilingServices, useDevices, useLogCounts } from "./use-facts";

/** The tenant at a glance; each tile leads to the list behind its number. */
export function Tiles() {
  const { t, i18n } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/" });
  const devices = useDevices();
  const logs = useLogCounts();
  const services = useAilingServices();
  const count = (n: number) => formatNumber(n, i18n.locale);
  const online = devices.rows.filter((d) => d.status === "online").length;
  const stale = devices.rows.filter((d) => d.status === "stale").length;
  const offline = devices.rows.length - online - stale;
  const total = `${count(devices.rows.length)}${devices.more ? "+" : ""}`;
  const critical = services.rows.filter((s) => s.health === "critical").length;
  return (
    <div className={classes.tiles}>
      <Link to="/$tenant/devices" params={{ tenant }} className={classes.tile}>
        <Figure label={t`Devices online`} query={devices} value={count(online)}>
          <Trans>of {total}</Trans>
        </Figure>
      </Link>
      <Link to="/$tenant/devices" params={{ tenant }} search={{ filter: 'status = "offline" OR status = "stale"' }} className={classes.tile}>
        <Figure label={t`Not heard from`} query={devices} value={count(stale + offline)} alarming={stale + offline > 0}>
          <Trans>
            {stale} stale, {offline} offline
          </Trans>
        </Figure>
      </Link>
      <Link to="/$tenant/logs" params={{ tenant }} search={logs.data?.errors ? { level: "error" } : {}} className={classes.tile}>
        <Figure label={t`Errors in the last hour`} query={logs} value={count(logs.data?.errors ?? 0)} alarming={(logs.data?.errors ?? 0) > 0}>
          <Plural value={logs.data?.total ?? 0} one="of # line" other="of # lines" />
        </Figure>
      </Link>
      <Link to="/$tenant/projects" params={{ tenant }} className={classes.tile}>
        <Figure label={t`Services that need a look`} query={services} value={count(services.rows.length)} alarming={services.rows.length > 0}>
          <Trans>{critical} critical</Trans>
        </Figure>
      </Link>
    </div>
  );
}

interface FigureProps {
  label: string;
  query: { isPending: boolean; error: Error | null };
  value: string;
  alarming?: boolean;
  children: ReactNode;
}

function Figure({ label, query, value, alarming, children }: FigureProps) {
  const { t } = useLingui();
  const error = query.error ? asApiError(query.error) : null;
  return (
    <>
      <span className={classes.tileLabel}>{label}</span>
      {query.isPending ? (
        <Skeleton height={26} width={64} my={5} />
      ) : (
        <span className={classes.tileValue} data-alarming={alarming || undefined}>
          {error ? "–" : value}
        </span>
      )}
      <span className={classes.tileNote}>{error ? (error.status === 403 ? t`no permission` : t`not available`) : query.isPending ? " " : children}</span>
    </>
  );
}
