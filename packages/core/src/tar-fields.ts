const BLOCK = 512;

/** A number field of a tar's header: octal text, or base 256 where its first bit is set. Undefined: it is no safe integer. */
export function tarNumber(block: Buffer, at: number, length: number): number | undefined {
  const first = block[at] ?? 0;
  if (first & 0x80) {
    // GNU's base 256: two's complement, big-endian.
    let value = first & 0x40 ? (first & 0xff) - 0x100 : first & 0x7f;
    for (let i = at + 1; i < at + length; i++) value = value * 256 + (block[i] ?? 0);
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const text = block.toString('latin1', at, at + length).replace(/^[ \0]+|[ \0]+$/g, '');
  if (!/^[0-7]*$/.test(text)) return undefined;
  return text === '' ? 0 : parseInt(text, 8);
}

/** A text field of a tar's header: up to its first NUL. */
export function tarText(block: Buffer, at: number, length: number): Buffer {
  const end = block.indexOf(0, at);
  return block.subarray(at, end < 0 || end > at + length ? at + length : end);
}

/** Whether a header's checksum fits, with bytes taken as unsigned (as POSIX says) or signed (as some old programs did). */
export function tarChecksumFits(block: Buffer): boolean {
  let unsigned = 8 * 0x20;
  let signed = unsigned;
  for (let i = 0; i < BLOCK; i++) {
    if (i >= 148 && i < 156) continue;
    const byte = block[i] as number;
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  const text = block.toString('latin1', 148, 156).replace(/^[ \0]+|[ \0]+$/g, '');
  if (!/^[0-7]+$/.test(text)) return false;
  const stated = parseInt(text, 8);
  return stated === unsigned || stated === signed;
}

/** The records of a PAX extended header, in order; a text says what is wrong with them. */
export function paxRecords(body: Buffer): [key: string, value: Buffer][] | string {
  const records: [string, Buffer][] = [];
  for (let at = 0; at < body.length;) {
    const blank = body.indexOf(0x20, at);
    const digits = blank < 0 || blank - at > 8 ? '' : body.toString('latin1', at, blank);
    if (!/^[1-9][0-9]*$/.test(digits)) return 'a record has no length';
    const end = at + Number(digits);
    if (end > body.length || end < blank + 3) return 'a record has a wrong length';
    if (body[end - 1] !== 0x0a) return 'a record does not end with its line';
    const equals = body.indexOf(0x3d, blank);
    if (equals < 0 || equals >= end) return 'a record has no equals sign';
    if (equals === blank + 1) return 'a record has no key';
    records.push([body.toString('utf8', blank + 1, equals), body.subarray(equals + 1, end - 1)]);
    at = end;
  }
  return records;
}
