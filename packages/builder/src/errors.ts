import { StrakeError, type SourceLocation } from '@strake/core';

/** Codes of the errors that this package makes. */
export type BuilderErrorCode =
  | 'ARCHIVE_INVALID'
  | 'ARGUMENT_INVALID'
  | 'BASE_INVALID'
  | 'CHECKSUM_MISMATCH'
  | 'CONTEXT_NOT_FOUND'
  | 'CONTEXT_UNREADABLE'
  | 'COPY_CONFLICT'
  | 'COPY_SOURCE_NOT_FOUND'
  | 'DISK_FULL'
  | 'DOCKERFILE_INVALID'
  | 'DOCKERFILE_NOT_FOUND'
  | 'DOWNLOAD_FAILED'
  | 'ENTITLEMENT_MISSING'
  | 'GIT_FAILED'
  | 'INSTRUCTION_INVALID'
  | 'LAYOUT_INVALID'
  | 'OUTPUT_INVALID'
  | 'PLATFORM_MISSING'
  | 'SECRET_MISSING'
  | 'STAGE_NOT_FOUND'
  | 'STEP_FAILED'
  | 'STEP_TIMEOUT'
  | 'UNSUPPORTED';

interface Details {
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  readonly location?: SourceLocation | undefined;
  readonly exitCode?: number | undefined;
  readonly outputTail?: string | undefined;
}

/** A StrakeError of this package. */
export function builderError(code: BuilderErrorCode, message: string, details: Details = {}): StrakeError {
  return new StrakeError({ code, message, ...details });
}

/** Runs TASK; a StrakeError without a location gets LOCATION on its way up. */
export async function located<T>(location: SourceLocation | undefined, task: () => Promise<T> | T): Promise<T> {
  try {
    return await task();
  } catch (error) {
    throw location && error instanceof StrakeError ? error.with({ location }) : error;
  }
}
