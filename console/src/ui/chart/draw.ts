// The only module that loads uPlot: it is imported lazily, so that pages without charts do not pay for it.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { positions } from "~/lib/scale";

export interface Line {
  label: string;
  /** A CSS custom property, so that both themes have their own colour. */
  color: string;
  /** Fills the area under the line. */
  fill?: boolean;
}

export interface DrawOptions {
  kind: "lines" | "bars";
  lines: readonly Line[];
  height: number;
  format(value: number): string;
  locale: string;
  /** Sizes in bytes, so that the scale is cut at powers of two. */
  binary?: boolean;
  /** What the scale must reach; without it the data decide. */
  max?: number;
  /** Charts with the same key share the cursor. */
  sync?: string;
  onSelect?(from: number, to: number): void;
  onHover?(index: number | null): void;
}

export type Data = [x: number[], ...y: (number | null)[][]];
export type Plot = uPlot;

function cssColor(host: HTMLElement, property: string): string {
  return getComputedStyle(host).getPropertyValue(property).trim();
}

const DAY = 86_400;
/** Pixels; a lower chart has room for fewer lines across. */
const LOW = 120;
/** Half a label of the time axis, which stands at the very end when that is a round time. */
const RIGHT = 20;

/** Clock times, with the date where a day begins. */
function timeLabels(locale: string, splits: number[], increment: number): string[] {
  const date = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
  const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", ...(increment < 60 ? { second: "2-digit" } : {}), hourCycle: "h23" });
  return splits.map((at) => {
    const moment = new Date(at * 1000);
    const midnight = moment.getHours() === 0 && moment.getMinutes() === 0;
    return increment >= DAY || midnight ? date.format(moment) : clock.format(moment);
  });
}

export function draw(host: HTMLElement, data: Data, scale: { from: number; to: number }, options: DrawOptions): uPlot {
  const text = cssColor(host, "--mantine-color-dimmed");
  const grid = cssColor(host, "--s-line");
  const font = '11px "Inter Variable", system-ui, sans-serif';
  const bars = options.kind === "bars" ? uPlot.paths.bars?.({ size: [0.86, 40], align: 1 }) : undefined;
  const values = options.binary ? "binary" : options.kind === "bars" ? "whole" : "decimal";
  const most = options.height < LOW ? 2 : 4;
  const axis: uPlot.Axis = { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
  return new uPlot(
    {
      width: host.clientWidth,
      height: options.height,
      padding: [8, RIGHT, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: true, range: () => [scale.from / 1000, scale.to / 1000] },
        y: { range: (_u, _min, max) => [0, positions(options.max ?? max, values, most).at(-1) ?? 1] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 24, gap: 5, space: 64, values: (_u, splits, _axis, _space, increment) => timeLabels(options.locale, splits, increment) },
        {
          ...axis,
          size: 58,
          gap: 6,
          splits: (_u, _axis, _min, max) => positions(max, values, most),
          values: (_u, splits) => splits.map((v) => options.format(v)),
        },
      ],
      series: [
        {},
        ...options.lines.map((line): uPlot.Series => {
          const stroke = cssColor(host, line.color);
          return {
            label: line.label,
            stroke,
            width: options.kind === "bars" ? 0 : 1.5,
            ...(line.fill || options.kind === "bars" ? { fill: options.kind === "bars" ? stroke : `${stroke}26` } : {}),
            ...(bars ? { paths: bars } : {}),
            points: { show: false },
            spanGaps: false,
          };
        }),
      ],
      cursor: {
        y: false,
        drag: { x: options.onSelect !== undefined, y: false, setScale: false },
        points: { size: 6 },
        ...(options.sync ? { sync: { key: options.sync } } : {}),
      },
      hooks: {
        setSelect: [
          (u) => {
            if (u.select.width < 4) return;
            const from = u.posToVal(u.select.left, "x") * 1000;
            const to = u.posToVal(u.select.left + u.select.width, "x") * 1000;
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            options.onSelect?.(from, to);
          },
        ],
        setCursor: [(u) => options.onHover?.(u.cursor.idx ?? null)],
      },
    },
    data,
    host,
  );
}
