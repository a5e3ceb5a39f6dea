import { errnoOf, StrakeError } from '@strake/core';
import { SystemCallError } from '@strake/sys';

/** Codes of this package's errors. */
export type RuntimeErrorCode =
  | 'CONTAINER_FAILED'
  | 'CONTAINER_SPEC_INVALID'
  | 'MOUNT_FAILED'
  | 'NETWORK_UNAVAILABLE'
  | 'MOUNT_TARGET_INVALID'
  | 'ROOT_INVALID'
  | 'RUNTIME_UNAVAILABLE'
  | 'TERMINAL_UNSUPPORTED'
  | 'USER_FILE_INVALID'
  | 'USER_INVALID'
  | 'USER_UNKNOWN'
  | 'USER_UNMAPPED'
  | 'WORKDIR_INVALID';

function error(code: RuntimeErrorCode, message: string, hint?: string, cause?: unknown): StrakeError {
  return new StrakeError({ code, message, hint, cause });
}

function reason(cause: unknown): string {
  if (cause instanceof SystemCallError) return cause.message;
  return errnoOf(cause) ?? (cause instanceof Error ? cause.message : String(cause));
}

/** The container could not be started: neither the step's nor the image's fault. */
export function containerFailed(runtime: string, detail: string, cause?: unknown): StrakeError {
  const hint = 'strake doctor tells what works on this machine; --isolation chooses another way of running steps.';
  return error('CONTAINER_FAILED', `${runtime} could not start the container: ${detail}`, hint, cause);
}

export function specInvalid(what: string): StrakeError {
  return error('CONTAINER_SPEC_INVALID', what);
}

export function mountFailed(what: string, cause: unknown): StrakeError {
  const hint = errnoOf(cause) === 'ENOSYS' ? 'Linux 5.12 or newer is needed.' : undefined;
  return error('MOUNT_FAILED', `cannot mount ${what}: ${reason(cause)}`, hint, cause);
}

export function mountTargetInvalid(target: string, why: string, cause?: unknown): StrakeError {
  const hint = 'Choose another target for the mount.';
  return error('MOUNT_TARGET_INVALID', `"${target}" cannot be a mount point: ${why}`, hint, cause);
}

/** A step's own network cannot be made here. */
export function networkUnavailable(why: string, cause?: unknown, hint?: string): StrakeError {
  const usual =
    'It needs network namespaces. strake doctor tells what this machine allows; --network host does without.';
  return error('NETWORK_UNAVAILABLE', `the step cannot have a network of its own: ${why}`, hint ?? usual, cause);
}

/** An image whose /dev, /proc or /sys would lead the mounts of a container elsewhere. */
export function rootInvalid(path: string, kind: string): StrakeError {
  const hint = 'Something in the image replaced it. Remove it in an earlier step, or use another base image.';
  return error('ROOT_INVALID', `${path} of the image is ${kind} instead of a folder: nothing can be run on it`, hint);
}

export function runtimeUnavailable(message: string, hint: string, cause?: unknown): StrakeError {
  return error('RUNTIME_UNAVAILABLE', message, hint, cause);
}

export function terminalUnsupported(executor: string): StrakeError {
  return error(
    'TERMINAL_UNSUPPORTED',
    `the ${executor} executor has no terminal to offer`,
    'Install crun or runc, or run without -t.',
  );
}

export function userInvalid(user: string, why: string): StrakeError {
  return error('USER_INVALID', `"${user}" is not a user: ${why}`, 'Write it as name, uid, name:group or uid:gid.');
}

export function userUnknown(kind: 'user' | 'group', name: string): StrakeError {
  const file = kind === 'user' ? '/etc/passwd' : '/etc/group';
  const hint = `Create it in an earlier step, or give its number: numbers need no entry in ${file}.`;
  return error('USER_UNKNOWN', `the image has no ${kind} "${name}" in its ${file}`, hint);
}

/** An id that the user namespace does not have. */
export function userUnmapped(kind: 'user' | 'group', id: number, what: string): StrakeError {
  const hint =
    'Root can grant you more ids: apt-get install uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ' +
    'YOU. strake doctor tells what is missing.';
  return error('USER_UNMAPPED', `${what} cannot belong to ${kind} ${id}: this user namespace has no such id`, hint);
}

export function userFileInvalid(file: string, why: string): StrakeError {
  return error('USER_FILE_INVALID', `${file} of the image cannot be used: ${why}`);
}

export function workdirInvalid(path: string, why: string, cause?: unknown): StrakeError {
  return error('WORKDIR_INVALID', `the working directory "${path}" cannot be used: ${why}`, undefined, cause);
}
