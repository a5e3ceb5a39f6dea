/** Says what an ignore file hides. Paths relative to the context. */
export interface IgnoreRules {
  excluded(path: string): boolean;
  /** Whether something below an excluded folder may be visible again. */
  mayContainIncluded(folder: string): boolean;
  /** Whether something that is excluded may be included again. */
  readonly hasExceptions: boolean;
}
