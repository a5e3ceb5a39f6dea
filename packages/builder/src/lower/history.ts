import { goQuoteList, type Healthcheck, type HistoryEntry } from '@strake/core';
import type { Vertex } from '@strake/solver';

import type { ChainResult } from '../result.js';

/** A time as Go prints it: without zeros at the end of the fraction. */
export function goTime(time: string): string {
  return time.replace(/\.(\d*?)0*Z$/, (_all, digits: string) => (digits === '' ? 'Z' : `.${digits}Z`));
}

/** The comment that BuildKit writes into the history entries of its builds. */
export const HISTORY_COMMENT = 'buildkit.dockerfile.v0';

/** The comment of entries that BuildKit's exporter adds for layers of which the history knows nothing. */
export const EXPORTER_COMMENT = 'buildkit.exporter.image.v0';

/** A history entry whose time is known only when its step has been solved. */
export interface HistoryItem {
  readonly createdBy: string;
  readonly emptyLayer: boolean;
  /** The step that makes the layer. */
  readonly vertex?: Vertex<ChainResult> | undefined;
  /** What BuildKit's cache says of the layer, where that is not the step's name. */
  readonly layerName?: string | undefined;
}

/** `|2 A=1 B=2 `, before a RUN's command: declared ARGs in the order of their first declaration, with current values. */
export function argumentPrefix(args: ReadonlyMap<string, string>): string {
  if (args.size === 0) return '';
  return `|${args.size} ${[...args].map(([name, value]) => `${name}=${value}`).join(' ')} `;
}

/** `CMD ["sh" "-c" "x"]`. */
export function commandHistory(kind: string, args: readonly string[]): string {
  return `${kind} ${goQuoteList(args)}`;
}

/** Go's `%+v` of Docker's HealthcheckConfig. */
export function healthcheckHistory(check: Healthcheck): string {
  const duration = (nanoseconds: number | undefined): string => goDuration(nanoseconds ?? 0);
  return (
    `HEALTHCHECK {Test:[${(check.Test ?? []).join(' ')}] Interval:${duration(check.Interval)} ` +
    `Timeout:${duration(check.Timeout)} StartPeriod:${duration(check.StartPeriod)} ` +
    `StartInterval:${duration(check.StartInterval)} Retries:${check.Retries ?? 0}}`
  );
}

/** Go's time.Duration as text: `1m30s`, `1.5ms`. */
export function goDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return '0s';
  const trim = (value: string): string => (value.includes('.') ? value.replace(/\.?0+$/, '') : value);
  if (nanoseconds < 1e3) return `${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${trim((nanoseconds / 1e3).toFixed(3))}µs`;
  if (nanoseconds < 1e9) return `${trim((nanoseconds / 1e6).toFixed(6))}ms`;
  const whole = BigInt(Math.round(nanoseconds));
  const total = whole / 1_000_000_000n;
  const fraction = (whole % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  const [hours, minutes, seconds] = [total / 3600n, (total / 60n) % 60n, total % 60n];
  const tail = `${seconds}${fraction ? `.${fraction}` : ''}s`;
  if (hours > 0n) return `${hours}h${minutes}m${tail}`;
  return minutes > 0n ? `${minutes}m${tail}` : tail;
}

/**
 * Gives every entry a time, as BuildKit's exporter does: entries without one take the time of the first new layer, later ones that
 * of the layer before them.
 * @param given entries with `created` where it is known
 */
export function fillTimes(given: readonly HistoryEntry[]): HistoryEntry[] {
  const items = given.map((item) => (item.created === undefined ? item : { ...item, created: goTime(item.created) }));
  let created: string | undefined;
  let undated = false;
  for (const item of items) {
    if (item.created !== undefined) {
      created = item.created;
      if (undated) break;
    } else undated = true;
  }
  undated = false;
  return items.map((item) => {
    if (item.created !== undefined) {
      if (undated) created = item.created;
      return item;
    }
    undated = true;
    return created === undefined ? item : { created, ...item };
  });
}
