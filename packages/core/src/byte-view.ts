/**
 * BYTES for reading and writing numbers. Buffer's own functions for that are JavaScript, which a process or thread that has just started
 * takes seven times as long for.
 */
export function viewOfBytes({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
