import classes from "./sparkline.module.css";

const WIDTH = 100;
const HEIGHT = 28;

interface SparklineProps {
  x: readonly number[];
  y: readonly (number | null)[];
  /** Top of the scale; without it the data decide. */
  max?: number;
  from: number;
  to: number;
}

/** A curve without axes, beside a number that says it. Decoration for screen readers. */
export function Sparkline({ x, y, max, from, to }: SparklineProps) {
  const top = max ?? Math.max(...y.map((v) => v ?? 0), 1e-9);
  const runs: string[][] = [[]];
  for (const [i, at] of x.entries()) {
    const value = y[i];
    if (value === null || value === undefined) {
      runs.push([]);
      continue;
    }
    const px = ((at - from) / (to - from)) * WIDTH;
    const py = HEIGHT - 1 - (Math.min(value, top) / top) * (HEIGHT - 2);
    runs.at(-1)?.push(`${px.toFixed(2)},${py.toFixed(2)}`);
  }
  const lines = runs.filter((r) => r.length > 1);
  return (
    <svg className={classes.spark} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden>
      {lines.map((points, i) => {
        const first = points[0]?.split(",")[0];
        const last = points.at(-1)?.split(",")[0];
        return (
          <g key={i}>
            <polygon points={`${first},${HEIGHT} ${points.join(" ")} ${last},${HEIGHT}`} className={classes.area} />
            <polyline points={points.join(" ")} className={classes.line} />
          </g>
        );
      })}
    </svg>
  );
}

/** A share of a whole. */
export function Meter({ value, label }: { value: number | null; label: string }) {
  const share = Math.min(Math.max(value ?? 0, 0), 1);
  return (
    <div className={classes.meter} role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)}>
      <div className={classes.fill} data-high={share > 0.9 || undefined} style={{ width: `${share * 100}%` }} />
    </div>
  );
}
