/** How names of cache mounts begin that were given up. */
export const REMOVED_MOUNT = 'gone-';
