import { msg } from "@lingui/core/macro";
import type { Severity } from "~/api/telemetry";

/** Least severe first: the order of the stacked bars. */
export const SEVERITIES: readonly Severity[] = ["trace", "debug", "info", "warn", "error", "critical"];

export const COLOR: Record<Severity, string> = {
  trace: "--s-trace",
  debug: "--s-debug",
  info: "--s-info",
  warn: "--s-warn",
  error: "--s-error",
  critical: "--s-critical",
};

export const LEVELS = {
  "": msg`All levels`,
  info: msg`Info and above`,
  warn: msg`Warning and above`,
  error: msg`Error and above`,
} as const;

export type Level = keyof typeof LEVELS;

export function isLevel(text: string | undefined): text is Level {
  return text !== undefined && text in LEVELS;
}

/** A least level as a filter. */
export function levelFilter(level: Level): string | undefined {
  return level === "" ? undefined : `severity >= ${level}`;
}
