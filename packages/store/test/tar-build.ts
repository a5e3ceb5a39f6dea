import { bytesOfText } from '@strake/core';

/** Makes tars that no sound program makes. */

type Bytes = string | Buffer;
const raw = (value: Bytes): Buffer => (typeof value === 'string' ? bytesOfText(value) : value);

export interface HeaderFields {
  readonly size?: number;
  readonly mode?: number;
  readonly link?: string;
  readonly uid?: number;
  readonly device?: readonly [number, number];
  readonly sizeField?: Buffer;
  readonly checksum?: number;
  readonly magic?: string;
}

export function header(name: Bytes, type = '0', fields: HeaderFields = {}): Buffer {
  const block = Buffer.alloc(512);
  const octal = (at: number, length: number, value: number): void => {
    block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  };
  raw(name).copy(block, 0, 0, 100);
  octal(100, 8, fields.mode ?? 0o644);
  octal(108, 8, fields.uid ?? 0);
  octal(116, 8, 0);
  if (fields.sizeField) fields.sizeField.copy(block, 124);
  else octal(124, 12, fields.size ?? 0);
  octal(136, 12, 1_590_969_600);
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(type, 156, 'latin1');
  raw(fields.link ?? '').copy(block, 157, 0, 100);
  block.write(fields.magic ?? 'ustar\x0000', 257, 'latin1');
  octal(329, 8, fields.device?.[0] ?? 0);
  octal(337, 8, fields.device?.[1] ?? 0);
  const sum = fields.checksum ?? block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

export function padded(bytes: Bytes): Buffer {
  const body = raw(bytes);
  return Buffer.concat([body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

export function pax(records: readonly (readonly [string, Bytes])[], type = 'x'): Buffer {
  const body = Buffer.concat(
    records.map(([key, value]) => {
      const rest = Buffer.concat([raw(` ${key}=`), raw(value), raw('\n')]);
      let length = rest.length + 1;
      while (String(length).length + rest.length !== length) length++;
      return Buffer.concat([raw(String(length)), rest]);
    }),
  );
  return paxBody(body, type);
}

export function paxBody(body: Bytes, type = 'x', size?: number): Buffer {
  const bytes = raw(body);
  return Buffer.concat([header('pax', type, { size: size ?? bytes.length }), padded(bytes)]);
}

export function entry(name: string, data: Bytes = '', type = '0', fields: HeaderFields = {}): Buffer {
  const bytes = raw(data);
  const long = raw(name).length > 100 ? pax([['path', name]]) : Buffer.alloc(0);
  return Buffer.concat([long, header(name, type, { size: bytes.length, ...fields }), padded(bytes)]);
}

export function gnuLong(name: Bytes, type = 'L'): Buffer {
  return entry('././@LongLink', Buffer.concat([raw(name), Buffer.alloc(1)]), type);
}

export const END: Buffer = Buffer.alloc(1024);
