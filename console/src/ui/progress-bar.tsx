import classes from "./sparkline.module.css";

/** How much of a whole is done, from 0 to 1, also in words. */
export function ProgressBar({ share, label, text }: { share: number; label: string; text: string }) {
  return (
    <span className={classes.progress}>
      <span className={classes.meter} role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)}>
        <span className={classes.fill} style={{ width: `${share * 100}%` }} />
      </span>
      {text}
    </span>
  );
}
