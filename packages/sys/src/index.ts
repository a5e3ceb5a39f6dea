export { SystemCallError } from './errors.js';
export { mount, MountFlag, unmount, UnmountFlag } from './mount.js';
export {
  attachMount,
  cloneMount,
  closeDescriptor,
  makeMount,
  MountAttribute,
  setMountAttributes,
} from './mount-tree.js';
export { FileType, makeDevice, makeNode, splitDevice } from './node.js';
export { fileSystemType, makePipe, openAt2, OpenFlag, ResolveFlag } from './open.js';
export { lockFile, setParentDeathSignal } from './process.js';
export { getXattr, listXattrs, removeXattr, setXattr } from './xattr.js';
