import { paxRecords, tarNumber } from '@strake/core';

import { layerInvalid } from '../errors.js';

/** A number field of a header, of WHAT. @throws StrakeError `LAYER_INVALID` */
export function numberField(block: Buffer, at: number, length: number, what: string): number {
  const value = tarNumber(block, at, length);
  if (value === undefined) throw layerInvalid(`${what} is no octal number, or too large`);
  return value;
}

/** The records of a PAX extended header, in order. @throws StrakeError `LAYER_INVALID` */
export function parsePax(body: Buffer): [key: string, value: Buffer][] {
  const records = paxRecords(body);
  if (typeof records === 'string') throw layerInvalid(`an extended (PAX) header is malformed: ${records}`);
  return records;
}
