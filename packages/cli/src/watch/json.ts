import { isStrakeError } from '@strake/core';
import type { WatchEvent } from '@strake/engine';
import { jsonText } from '../print/json.js';

/** An event of a watch as a line of JSON. Output is text; errors have code, message, hint and step; of builds the essentials. */
export function jsonLine(event: WatchEvent): string {
  return `${jsonText(plain(event))}\n`;
}

function plain(event: WatchEvent): unknown {
  switch (event.type) {
    case 'build-event':
      return {
        ...event,
        event: 'data' in event.event ? { ...event.event, data: text(event.event.data) } : event.event,
      };
    case 'output':
      return { ...event, data: text(event.data) };
    case 'built': {
      const { result, ...rest } = event;
      const { image, configDigest, names, steps, duration } = result;
      return { ...rest, result: { image, configDigest, names, steps, duration } };
    }
    case 'failed':
    case 'container':
      return 'error' in event ? { ...event, error: errorFields(event.error) } : event;
    default:
      return event;
  }
}

function text(data: Uint8Array): string {
  return Buffer.from(data).toString('utf8');
}

function errorFields(error: unknown): unknown {
  if (isStrakeError(error)) {
    const { code, message, hint, step, location, exitCode, outputTail } = error;
    const where = location && { file: location.file, line: location.line, endLine: location.endLine };
    return { code, message, hint, step, location: where, exitCode, outputTail };
  }
  return error instanceof Error ? { message: error.message } : undefined;
}
