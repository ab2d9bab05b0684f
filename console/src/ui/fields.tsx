import { Panel } from "./page";
import classes from "./fields.module.css";

/** A form's fields on a surface, in one column on narrow screens and two on wide ones. */
export function Fields({ title, children }: { title?: string; children: React.ReactNode }) {
  return (
    <Panel title={title}>
      <div className={classes.grid}>{children}</div>
    </Panel>
  );
}

export function Wide({ children }: { children: React.ReactNode }) {
  return <div className={classes.wide}>{children}</div>;
}
