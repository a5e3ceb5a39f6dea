/** What stands beside a snapshot that is in use: `snapshots/<id>.note`. */
export interface SnapshotNote {
  /** The holder whose snapshot it is. */
  readonly holder: string;
}

/** A note from its text; undefined where it is none. */
export function parseNote(text: string | undefined): SnapshotNote | undefined {
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text) as Partial<SnapshotNote> | null;
    return typeof value?.holder === 'string' ? { holder: value.holder } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
