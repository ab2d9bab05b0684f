/** Series as a chart needs them: one ascending list of times, one list of values per series, holes where nothing was reported. */
export interface Aligned {
  /** Unix seconds. */
  x: number[];
  y: (number | null)[][];
}

interface Points {
  points: readonly (readonly number[])[];
}

/** Lines are broken where more than this many steps are missing. */
const GAP_STEPS = 3;

export function align(series: readonly Points[], stepSeconds: number): Aligned {
  const columns = series.map((s) => new Map(s.points.map((p) => [p[0] ?? 0, p[1] ?? null])));
  const times = [...new Set(columns.flatMap((c) => [...c.keys()]))].sort((a, b) => a - b);
  const gap = Math.max(stepSeconds, 1) * 1000 * GAP_STEPS;
  const withGaps: number[] = [];
  for (const time of times) {
    const previous = withGaps.at(-1);
    if (previous !== undefined && time - previous > gap) withGaps.push(previous + 1);
    withGaps.push(time);
  }
  return { x: withGaps.map((ms) => ms / 1000), y: columns.map((c) => withGaps.map((ms) => c.get(ms) ?? null)) };
}

/** The newest value of a series. */
export function latest(points: readonly (readonly number[])[] | undefined): number | null {
  return points?.at(-1)?.[1] ?? null;
}

/** Running totals from the first line up, for stacked bars; drawn from the last to the first. */
export function stack(y: readonly (readonly number[])[]): number[][] {
  const out: number[][] = [];
  for (const [i, values] of y.entries()) out.push(values.map((v, k) => v + (out[i - 1]?.[k] ?? 0)));
  return out;
}
