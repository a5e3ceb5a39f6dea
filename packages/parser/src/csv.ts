/**
 * The fields of one line of comma-separated values (RFC 4180 as Go's encoding/csv reads it): a field in double quotes may hold
 * commas, and `""` for a quote. Undefined, with a reason, is not returned but thrown by the caller: FAIL makes the error.
 */
export function parseCsvLine(text: string, fail: (why: string) => Error): string[] {
  let line = text;
  if (line.endsWith('\n')) line = line.endsWith('\r\n') ? line.slice(0, -2) : line.slice(0, -1);
  if (line === '') throw fail('it is empty');
  const fields: string[] = [];
  let position = 0;
  for (;;) {
    if (line[position] !== '"') {
      const comma = line.indexOf(',', position);
      const field = line.slice(position, comma < 0 ? undefined : comma);
      if (field.includes('"')) throw fail('bare " in non-quoted field');
      fields.push(field);
      if (comma < 0) return fields;
      position = comma + 1;
      continue;
    }
    let field = '';
    position++;
    for (;;) {
      const quote = line.indexOf('"', position);
      if (quote < 0) throw fail('extraneous or missing " in quoted field');
      field += line.slice(position, quote);
      position = quote + 1;
      if (line[position] !== '"') break;
      field += '"';
      position++;
    }
    fields.push(field);
    if (position === line.length) return fields;
    if (line[position] !== ',') throw fail('extraneous or missing " in quoted field');
    position++;
  }
}
