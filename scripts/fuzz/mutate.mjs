/** Numbers from 0 to 1 (mulberry32): the same for the same seed. */
export function randomOf(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const NUMBERS = [
  '0',
  '-1',
  '1',
  '255',
  '65536',
  '2147483648',
  '4294967295',
  '9007199254740993',
  '1e400',
  '99999999999999999999',
];
const PIECES = [
  '\0',
  '\n',
  '\r',
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '/',
  '../',
  '..',
  '*',
  '**',
  '$',
  '%',
  '\x1b[2J',
  '\xff',
  '\xc3',
];
const WORDS = ['__proto__', 'constructor', 'null', 'true', 'sha256:', '\\u0000', '\\ud800'];

/** INPUT changed in one to six places, with pieces of OTHER and of WORDS of the target. At most LIMIT bytes. */
export function mutate(input, other, more, random, limit = 1 << 16) {
  let bytes = Buffer.from(input);
  const below = (n) => Math.floor(random() * n);
  const pick = (list) => list[below(list.length)];
  const put = (at, gone, piece) => {
    bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + gone)]).subarray(0, limit);
  };
  for (let n = 1 + below(6); n > 0; n--) {
    const at = below(bytes.length + 1);
    const length = 1 + below(random() < 0.8 ? 8 : 600);
    switch (below(9)) {
      case 0:
        if (at < bytes.length) bytes[at] ^= 1 << below(8);
        break;
      case 1:
        if (at < bytes.length) bytes[at] = below(256);
        break;
      case 2:
        put(at, length, Buffer.alloc(0));
        break;
      case 3:
        put(at, 0, Buffer.from(bytes.subarray(at, at + length)));
        break;
      case 4:
        put(at, random() < 0.5 ? 0 : length, Buffer.from(pick([...PIECES, ...WORDS, ...more]), 'latin1'));
        break;
      case 5: {
        // A number becomes another one.
        const digits = [...bytes.toString('latin1').matchAll(/\d+/g)];
        const one = digits.length > 0 ? pick(digits) : undefined;
        if (one) put(one.index, one[0].length, Buffer.from(pick(NUMBERS)));
        break;
      }
      case 6: {
        const from = below(other.length + 1);
        put(at, random() < 0.5 ? 0 : length, other.subarray(from, from + length * 4));
        break;
      }
      case 7:
        put(at, 0, Buffer.concat(Array(1 + below(40)).fill(Buffer.from(bytes.subarray(at, at + length)))));
        break;
      default:
        if (random() < 0.3) bytes = bytes.subarray(0, at);
    }
  }
  return bytes;
}
