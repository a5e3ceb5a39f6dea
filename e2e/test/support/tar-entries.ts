/** An entry of a tar archive. Names are byte strings (latin1), so that no encoding is guessed. */
export interface TarEntry {
  readonly name: string;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds. */
  readonly mtime: number;
  readonly link: string;
  readonly device: readonly [number, number];
  readonly xattrs: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Reads an archive in memory: ustar, pax records, GNU's long names and base-256 numbers. A reader of its own, to judge with. */
export function* tarEntries(bytes: Buffer): Generator<TarEntry> {
  let pax: Record<string, string> = {};
  let longName: string | undefined;
  let longLink: string | undefined;
  for (let at = 0; at + 512 <= bytes.length;) {
    const header = bytes.subarray(at, at + 512);
    if (header.every((byte) => byte === 0)) return;
    checkSum(header);
    const size = pax['size'] === undefined ? number(header, 124, 12) : Number(pax['size']);
    const body = bytes.subarray(at + 512, at + 512 + size);
    if (body.length < size) throw new Error('the archive ends inside an entry');
    at += 512 + Math.ceil(size / 512) * 512;
    const type = String.fromCharCode(header[156] ?? 0);
    if (type === 'x') pax = paxRecords(body);
    else if (type === 'L') longName = untilNul(body);
    else if (type === 'K') longLink = untilNul(body);
    else if (type !== 'g') {
      const prefix = header.toString('latin1', 257, 262) === 'ustar' ? untilNul(header.subarray(345, 500)) : '';
      const short = untilNul(header.subarray(0, 100));
      yield {
        name: pax['GNU.sparse.name'] ?? pax['path'] ?? longName ?? (prefix ? `${prefix}/${short}` : short),
        type: type === '\0' ? '0' : type,
        mode: number(header, 100, 8) & 0o7777,
        uid: Number(pax['uid'] ?? number(header, 108, 8)),
        gid: Number(pax['gid'] ?? number(header, 116, 8)),
        mtime: Math.floor(Number(pax['mtime'] ?? number(header, 136, 12))),
        link: pax['linkpath'] ?? longLink ?? untilNul(header.subarray(157, 257)),
        device: [number(header, 329, 8), number(header, 337, 8)],
        xattrs: Object.fromEntries(
          Object.entries(pax)
            .filter(([key]) => key.startsWith('SCHILY.xattr.'))
            .map(([key, value]) => [key.slice('SCHILY.xattr.'.length), Buffer.from(value, 'latin1').toString('hex')]),
        ),
        body: pax['GNU.sparse.major'] === '1' ? filled(body, Number(pax['GNU.sparse.realsize'])) : body,
      };
      pax = {};
      longName = longLink = undefined;
    }
  }
}

/** The content of a file that is stored without its holes (version 1.0 of GNU's form): the map comes first. */
function filled(stored: Buffer, size: number): Buffer {
  const content = Buffer.alloc(size);
  let at = 0;
  const next = (): number => {
    const end = stored.indexOf(0x0a, at);
    const value = Number(stored.toString('latin1', at, end));
    at = end + 1;
    return value;
  };
  const pieces = Array.from({ length: next() }, () => [next(), next()] as const);
  at = Math.ceil(at / 512) * 512;
  for (const [offset, length] of pieces) {
    stored.copy(content, offset, at, at + length);
    at += length;
  }
  return content;
}

function checkSum(header: Buffer): void {
  const sum = header.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 32 : byte), 0);
  if (sum !== number(header, 148, 8)) throw new Error('a header of the archive has a wrong checksum');
}

function untilNul(field: Buffer): string {
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end < 0 ? field.length : end);
}

function number(header: Buffer, start: number, length: number): number {
  const field = header.subarray(start, start + length);
  if ((field[0] ?? 0) & 0x80)
    return field.reduce((total, byte, index) => total * 256 + (index ? byte : byte & 0x7f), 0);
  return parseInt(untilNul(field).trim() || '0', 8);
}

function paxRecords(body: Buffer): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < body.length;) {
    const blank = body.indexOf(0x20, at);
    const length = parseInt(body.toString('latin1', at, blank), 10);
    if (!(length > 0)) throw new Error('a pax record without a length');
    const record = body.toString('latin1', blank + 1, at + length - 1);
    const equals = record.indexOf('=');
    records[record.slice(0, equals)] = record.slice(equals + 1);
    at += length;
  }
  return records;
}
