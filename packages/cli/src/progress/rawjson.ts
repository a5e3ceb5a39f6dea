import { digestOf, type Digest, type ProgressEvent } from '@strake/core';
import { jsonText } from '../print/json.js';
import type { Renderer } from './display.js';

interface Vertex {
  digest: Digest;
  inputs: Digest[];
  name: string;
  started?: string;
  completed?: string;
  cached?: boolean;
  error?: string;
}

function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/**
 * One JSON object a line in the shape of BuildKit's `client.SolveStatus`, as `docker buildx build --progress rawjson` prints
 * it: `vertexes`, `statuses`, `logs` (data in base64) and `warnings`. A vertex's digest is that of its step's id.
 */
export class RawJsonRenderer implements Renderer {
  readonly interval = 0;
  readonly restore = '';
  readonly #vertexes = new Map<string, Vertex>();
  readonly #transfers = new Map<string, string>();

  event(event: ProgressEvent): string {
    switch (event.type) {
      case 'note':
        return '';
      case 'step': {
        const vertex = this.#vertex(event.id);
        vertex.name = event.name;
        vertex.inputs = event.inputs.map((id) => this.#vertex(id).digest);
        return this.#print(vertex);
      }
      case 'step-started':
        return this.#update(event.id, { started: time(event.time) });
      case 'step-cached': {
        const at = time(event.time);
        const { started = at } = this.#vertex(event.id);
        return this.#update(event.id, { started, completed: at, cached: true });
      }
      case 'step-finished':
        return this.#update(event.id, {
          completed: time(event.time),
          ...(event.error !== undefined && { error: event.error }),
        });
      case 'step-output':
        return line({
          logs: [
            {
              vertex: this.#vertex(event.id).digest,
              stream: event.stream === 'stdout' ? 1 : 2,
              data: Buffer.from(event.data).toString('base64'),
              timestamp: time(event.time),
            },
          ],
        });
      case 'progress': {
        const key = `${event.id} ${event.subject}`;
        const timestamp = time(event.time);
        let started = this.#transfers.get(key);
        if (started === undefined) this.#transfers.set(key, (started = timestamp));
        return line({
          statuses: [
            {
              id: `${event.action} ${event.subject}`,
              vertex: this.#vertex(event.id).digest,
              ...(event.total !== undefined && { total: event.total }),
              current: event.current,
              timestamp,
              started,
              ...(event.done && { completed: timestamp }),
            },
          ],
        });
      }
      case 'warning':
        return line({ warnings: [warningOf(event)] });
    }
  }

  tick(): string {
    return '';
  }

  end(): string {
    return '';
  }

  showsTail(): boolean {
    return true;
  }

  #vertex(id: string): Vertex {
    let vertex = this.#vertexes.get(id);
    if (!vertex) this.#vertexes.set(id, (vertex = { digest: digestOf(id), inputs: [], name: id }));
    return vertex;
  }

  #update(id: string, fields: Partial<Vertex>): string {
    return this.#print(Object.assign(this.#vertex(id), fields));
  }

  #print({ inputs, ...vertex }: Vertex): string {
    const { digest, ...rest } = vertex;
    return line({ vertexes: [{ digest, ...(inputs.length > 0 && { inputs }), ...rest }] });
  }
}

function line(status: object): string {
  return `${jsonText(status)}\n`;
}

function warningOf(event: Extract<ProgressEvent, { type: 'warning' }>): object {
  const { rule, message, description, url, location } = event;
  const place = location ? ` (line ${location.line})` : '';
  return {
    // Of lint findings BuildKit's level is 1, and the message begins with the rule's name and ends with the line.
    level: 1,
    short: base64(rule === undefined ? message : `${rule}: ${message}${place}`),
    ...(description !== undefined && { detail: [base64(description)] }),
    ...(url !== undefined && { url }),
    ...(location && {
      sourceInfo: { filename: location.file },
      range: [
        {
          start: { line: location.line, character: 0 },
          end: { line: location.endLine ?? location.line, character: 0 },
        },
      ],
    }),
  };
}
