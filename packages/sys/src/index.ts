export { SystemCallError } from './errors.js';
export { mount, MountFlag, unmount, UnmountFlag } from './mount.js';
export { FileType, makeDevice, makeNode, splitDevice } from './node.js';
export { lockFile, setParentDeathSignal } from './process.js';
export { getXattr, listXattrs, removeXattr, setXattr } from './xattr.js';
