// A module of its own, as it is loaded when a build has ended, and the rest of that package is not needed there.
export { removeDeviceGuards } from '@strake/runtime';
