import { Text, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import type { ReactNode } from "react";
import classes from "./page.module.css";

interface PageProps {
  title: string;
  /** Links back up, shown above the title. */
  trail?: ReactNode;
  /** One line under the title. */
  summary?: ReactNode;
  /** Beside the title: status, tags. */
  aside?: ReactNode;
  actions?: ReactNode;
  narrow?: boolean;
  children: ReactNode;
}

/** Every page's frame: one h1, its actions, its content. */
export function Page({ title, trail, summary, aside, actions, narrow, children }: PageProps) {
  useDocumentTitle(`${title} · Steward`);
  return (
    <div className={classes.page} data-narrow={narrow || undefined}>
      {trail && <div className={classes.trail}>{trail}</div>}
      <header className={classes.header}>
        <div className={classes.heading}>
          <div className={classes.titleRow}>
            <Title order={1}>{title}</Title>
            {aside}
          </div>
          {summary && (
            <Text c="dimmed" size="sm" component="div">
              {summary}
            </Text>
          )}
        </div>
        {actions && <div className={classes.actions}>{actions}</div>}
      </header>
      {children}
    </div>
  );
}

interface PanelProps {
  title?: ReactNode;
  aside?: ReactNode;
  flush?: boolean;
  children: ReactNode;
  label?: string;
}

/** A bordered surface with an optional heading. */
export function Panel({ title, aside, flush, label, children }: PanelProps) {
  return (
    <section className={classes.panel} aria-label={label}>
      {(title || aside) && (
        <div className={classes.panelHead}>
          {title && <Title order={2}>{title}</Title>}
          {aside && <div className={classes.panelAside}>{aside}</div>}
        </div>
      )}
      <div className={flush ? undefined : classes.panelBody}>{children}</div>
    </section>
  );
}

/** Label and value pairs, aligned in columns. */
export function Facts({ items }: { items: readonly (readonly [label: string, value: ReactNode])[] }) {
  return (
    <dl className={classes.facts}>
      {items.map(([label, value]) => (
        <div key={label} className={classes.fact}>
          <dt>{label}</dt>
          <dd>{value === null || value === undefined || value === "" ? "–" : value}</dd>
        </div>
      ))}
    </dl>
  );
}
