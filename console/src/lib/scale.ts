const BINARY = Array.from({ length: 60 }, (_, power) => 2 ** power);
const tens = (from: number, leading: readonly number[]) => Array.from({ length: 16 - from }, (_, i) => leading.map((n) => n * 10 ** (from + i))).flat();
const DECIMAL = tens(-4, [1, 2, 2.5, 5]);
const WHOLE = tens(0, [1, 2, 5]);

/** What the values of a scale are, which decides where it is cut: sizes at powers of two, counts never between whole numbers. */
export type Values = "decimal" | "binary" | "whole";

const STEPS: Record<Values, readonly number[]> = { decimal: DECIMAL, binary: BINARY, whole: WHOLE };

/** The positions of a scale from nothing up to at least `max`: the finest round step that makes at most `most` intervals. */
export function positions(max: number, values: Values, most: number): number[] {
  const steps = STEPS[values];
  const high = max > 0 ? max : 1;
  const fits = (step: number) => high / step <= most + 1e-9;
  const step = steps.find(fits) ?? high;
  const intervals = Math.max(Math.ceil(high / step - 1e-9), 1);
  return Array.from({ length: intervals + 1 }, (_, i) => i * step);
}
