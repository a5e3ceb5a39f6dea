const POLYNOMIAL = 0xedb88320;
/** Bits are mirrored, as in the checksum: the highest one is x^0. */
const ONE = 0x80000000;
const X_TO_THE_8TH = ONE >>> 8;

/** The product of two polynomials over GF(2), modulo that of crc32. */
function times(a: number, b: number): number {
  let product = 0;
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= b;
    b = (b & 1) === 0 ? b >>> 1 : (b >>> 1) ^ POLYNOMIAL;
  }
  return product >>> 0;
}

/** The crc32 (RFC 1952, 8) of two pieces of bytes from those of each: FIRST's, and that of the SIZE bytes that follow. */
export function joinCrc32(first: number, second: number, size: number): number {
  let shifted = first;
  let power = X_TO_THE_8TH;
  // SIZE may be more than 32 bits: no shifts.
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) shifted = times(shifted, power);
    power = times(power, power);
  }
  return (shifted ^ second) >>> 0;
}
