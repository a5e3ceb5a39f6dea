/** A duration as BuildKit prints it: `0.4s`, `83.2s`. */
export function seconds(milliseconds: number, digits = 1): string {
  return `${(Math.max(0, milliseconds) / 1000).toFixed(digits)}s`;
}

/** A size for people, in powers of 1000 as Docker prints it: `3.40MB`. */
export function bytes(size: number): string {
  let value = size;
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (value < 999.5) return `${unit === 'B' ? value.toFixed(0) : value.toPrecision(3)}${unit}`;
    value /= 1000;
  }
  return `${value.toPrecision(3)}TB`;
}

// What belongs to an ESC: CSI, strings (OSC, DCS, SOS, PM, APC) up to their end, charset choices, single letters; C1's CSI too.
// In pieces, so that no control character stands in the source.
const ESCAPES = new RegExp(
  [
    String.raw`\u001b\[[0-?]*[ -/]*[@-~]?`,
    String.raw`\u001b[\]PX^_][^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c|$)`,
    String.raw`\u001b[ -/]*[0-~]?`,
    String.raw`\u009b[0-?]*[ -/]*[@-~]?`,
  ].join('|'),
  'g',
);
// Compiling the one below takes a few milliseconds: most lines never need it.
const PLAIN = /^[ -~]*$/;
const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * One line of foreign text that can do a terminal no harm: what a carriage return would overwrite is left out, escape
 * sequences and control characters (also those that reverse the direction of writing) are dropped, tabs are blanks.
 */
export function harmless(line: string): string {
  if (PLAIN.test(line)) return line;
  const text = line.replace(/\r+$/, '');
  return text
    .slice(text.lastIndexOf('\r') + 1)
    .replace(ESCAPES, '')
    .replaceAll('\t', '    ')
    .replace(CONTROLS, '');
}

// No digest behind a tag: docker-image://name:tag@sha256:...
const PASSWORD = /(\/\/[^\s/@:"']*:)[^\s/"']+@(?!sha256:)/g;

/** TEXT without the passwords of addresses in it. */
export function withoutPasswords(text: string): string {
  return text.includes('@') ? text.replace(PASSWORD, '$1***@') : text;
}

/**
 * A step's one line, or one of a Dockerfile: BuildKit shows only the first of several. Nothing of it but passwords and the control
 * characters themselves is left out: whoever wrote it must not hide what is run behind a carriage return or within an escape sequence.
 */
export function oneLine(name: string): string {
  const line = withoutPasswords(name.split('\n', 1)[0] ?? '');
  if (PLAIN.test(line)) return line;
  return line.replace(/\r+$/, '').replaceAll('\r', ' ').replaceAll('\t', '    ').replace(CONTROLS, '');
}

/** {@link harmless} for text of several lines. */
export function harmlessLines(text: string): string {
  return text.split('\n').map(harmless).join('\n');
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\p{Emoji_Presentation}]/u;
const ZERO = /\p{Mn}|\p{Me}/u;

/** Columns of a character on a terminal. */
function charWidth(char: string): number {
  if (char < '\u0300') return 1;
  return ZERO.test(char) ? 0 : WIDE.test(char) ? 2 : 1;
}

/** Columns that a text without control characters takes on a terminal. */
export function width(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let columns = 0;
  for (const char of text) columns += charWidth(char);
  return columns;
}

/** TEXT in at most COLUMNS columns, with an ellipsis where something was cut off. */
export function fit(text: string, columns: number): string {
  if (text.length <= columns && width(text) <= columns) return text;
  let out = '';
  let used = 0;
  for (const char of text) {
    const more = charWidth(char);
    if (used + more > columns - 1) break;
    out += char;
    used += more;
  }
  return columns > 0 ? `${out}…` : '';
}
