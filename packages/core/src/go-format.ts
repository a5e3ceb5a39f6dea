/** Whether Go's strconv.IsPrint holds for a code point: letters, marks, numbers, punctuation, symbols and the ASCII space. */
function isPrint(char: string): boolean {
  return char === ' ' || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(char);
}

const SHORT: Record<string, string> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};

/** Go's `%q`: a double-quoted string as strconv.Quote writes it. History entries and parser dumps are written with it. */
export function goQuote(text: string): string {
  let out = '"';
  for (const char of text) {
    const short = SHORT[char];
    if (short !== undefined) out += short;
    else if (isPrint(char)) out += char;
    else {
      const code = char.codePointAt(0) ?? 0;
      // A byte of a text that is no UTF-8: `textOfBytes`.
      if (code >= 0xdc80 && code <= 0xdcff) out += `\\x${(code - 0xdc00).toString(16)}`;
      else if (code < 0x80) out += `\\x${code.toString(16).padStart(2, '0')}`;
      else if (code > 0xffff) out += `\\U${code.toString(16).padStart(8, '0')}`;
      else out += `\\u${code.toString(16).padStart(4, '0')}`;
    }
  }
  return `${out}"`;
}

/** Go's `%q` of a string slice: `["a" "b"]`. */
export function goQuoteList(texts: readonly string[]): string {
  return `[${texts.map(goQuote).join(' ')}]`;
}
