export {
  filterSystemCalls,
  forbidNewPrivileges,
  limitCapabilities,
  setCapabilities,
  setIdentity,
  setIdentityWithCapabilities,
} from './credentials.js';
export { copyRange } from './copy-range.js';
export { filterDevices } from './device-filter.js';
export type { AllowedDevice } from './device-filter.js';
export { SystemCallError } from './errors.js';
export { prepareCalls } from './libc.js';
export { execute, prepareForExec, setResourceLimit } from './exec.js';
export { CHANGE_WORDS, FileFacts, FolderLook, openToRead, statAt } from './folder.js';
export { spreadSubfolders } from './inode-flags.js';
export { giveBackMemory, IdleMemory } from './memory.js';
export { mount, MountFlag, unmount, UnmountFlag } from './mount.js';
export {
  attachMount,
  cloneMount,
  closeDescriptor,
  makeMount,
  MountAttribute,
  setMountAttributes,
} from './mount-tree.js';
export { changeRoot, enableLoopback, NamespaceFlag, pivotRoot, setHostname, unshare } from './namespace.js';
export { FileType, makeDevice, makeNode, splitDevice } from './node.js';
export { cloneFile, fileSystemType, makePipe, openAt2, OpenFlag, ResolveFlag, setTimes } from './open.js';
export { adoptOrphans, buryChild, leaveSession, lockFile, setParentDeathSignal } from './process.js';
export { startWriteBack } from './write-back.js';
export { getXattr, listXattrs, removeXattr, setXattr } from './xattr.js';
