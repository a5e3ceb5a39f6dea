/** The latest second that Go's nanoseconds can tell. */
const LAST_SECOND = 9_223_372_036;

/** The time of a file that a tar states as SECONDS: as BuildKit has it, 1970 for what lies before it or beyond Go's times. */
export function archiveTime(seconds: number): number {
  return seconds >= 0 && seconds < LAST_SECOND ? seconds : 0;
}
