/** What is read or written in the time that a worker thread takes to start: entries, and bytes of all their contents. */
export const FEW_ENTRIES = 256;
export const FEW_BYTES: number = 2 << 20;
