import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

interface Blob {
  readonly digest: string;
}

/** What an image in an OCI layout is: its config, and each layer as a list of lines, one an entry. */
export interface LayoutImage {
  readonly config: {
    readonly config: Readonly<Record<string, unknown>>;
    readonly history: readonly { readonly created_by?: string }[];
  };
  readonly layers: readonly (readonly string[])[];
}

/** Reads the first image of the layout in FOLDER. */
export function layoutImage(folder: string): LayoutImage {
  const blob = ({ digest }: Blob): Buffer => readFileSync(`${folder}/blobs/sha256/${digest.slice(7)}`);
  const json = (bytes: Buffer): unknown => JSON.parse(bytes.toString('utf8'));
  const index = json(readFileSync(`${folder}/index.json`)) as { manifests: Blob[] };
  const manifest = json(blob(index.manifests[0] as Blob)) as { config: Blob; layers: Blob[] };
  const layers = manifest.layers.map((layer) => {
    const bytes = blob(layer);
    return layerLines(bytes[0] === 0x1f ? gunzipSync(bytes) : bytes);
  });
  return { config: json(blob(manifest.config)) as LayoutImage['config'], layers };
}

/**
 * The entries of a layer's tar: name, type flag, mode, owner, link, and what MSWINDOWS records say (of the security descriptor the
 * length). `untimed` where the time of creation is not that of the entry.
 */
function layerLines(tar: Buffer): string[] {
  const lines: string[] = [];
  let records = new Map<string, string>();
  for (let at = 0; tar[at] !== 0;) {
    const header = tar.subarray(at, at + 512);
    const size = parseInt(header.toString('latin1', 124, 135), 8);
    if (header[156] === 0x78) records = recordsOf(tar.toString('utf8', at + 512, at + 512 + size));
    else {
      lines.push(lineOf(header, records));
      records = new Map();
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return lines;
}

function lineOf(header: Buffer, records: ReadonlyMap<string, string>): string {
  const text = (start: number, length: number): string =>
    header.toString('utf8', start, start + length).replace(/\0.*$/s, '');
  const number = (start: number, length: number): number => parseInt(text(start, length), 8);
  const attributes = records.get('MSWINDOWS.fileattr');
  const security = records.get('MSWINDOWS.rawsd');
  return [
    records.get('path') ?? text(0, 100),
    text(156, 1),
    number(100, 8).toString(8),
    `${number(108, 8)}:${number(116, 8)}`,
    ...(text(157, 100) === '' ? [] : [`-> ${text(157, 100)}`]),
    ...(attributes === undefined ? [] : [`attributes ${attributes}`]),
    ...(security === undefined ? [] : [`security ${security.length}`]),
    ...(records.get('LIBARCHIVE.creationtime') === `${number(136, 12)}.0` ? [] : ['untimed']),
  ].join(' ');
}

function recordsOf(body: string): Map<string, string> {
  const lines = body.split('\n').slice(0, -1);
  return new Map(lines.map((line) => (/^\d+ ([^=]+)=(.*)$/s.exec(line) ?? []).slice(1) as [string, string]));
}
