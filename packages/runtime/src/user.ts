import { isStrakeError } from '@strake/core';

import { userFileInvalid, userInvalid, userUnknown } from './errors.js';

/** The files of an image that users are looked up in: undefined where PATH is no file there. Links are followed inside the image. */
export interface UserFiles {
  read(path: string): Promise<Uint8Array | undefined>;
}

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** What HOME is in a step that does not set it: the home of the id's first entry in /etc/passwd, else `/`. */
  readonly home: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const HIGHEST_ID = 2 ** 31 - 1;
/** Bytes of /etc/passwd or /etc/group that are read. */
const LARGEST_FILE = 16 << 20;
/** Groups of a user. The kernel takes 65,536; runc compares each with every line of /etc/group, which takes minutes then. */
const MOST_GROUPS = 1024;

/**
 * Who a USER of a Dockerfile is, as BuildKit has it: name, uid, name:group or uid:gid. What consists of digits is an id, never a
 * name. A user without a group has the group of its entry in /etc/passwd (a number without an entry: 0) and the further groups of
 * /etc/group; with a group given it has that one only. An empty text is user 0, but files that cannot be understood do not matter.
 * The first of the additional groups is always the user's own: a file whose group is denied stays denied (CVE-2023-25173).
 * Lines of the files that are not understood are skipped: none makes a user root by accident.
 * @throws StrakeError `USER_INVALID`, `USER_UNKNOWN`, `USER_FILE_INVALID`
 */
export async function resolveUser(files: UserFiles, user: string): Promise<ResolvedUser> {
  if (user !== '') return lookUp(files, user);
  try {
    return await lookUp(files, '0');
  } catch (error) {
    if (!isStrakeError(error, 'USER_FILE_INVALID')) throw error;
    return { uid: 0, gid: 0, additionalGids: [0], home: '/' };
  }
}

async function lookUp(files: UserFiles, user: string): Promise<ResolvedUser> {
  const colon = user.indexOf(':');
  const [userPart, groupPart] = colon < 0 ? [user, undefined] : [user.slice(0, colon), user.slice(colon + 1)];
  if (/[\0\n]/.test(user)) throw userInvalid(user.slice(0, 100), 'it holds a NUL byte or a line break');
  const uid = userPart === '' ? 0 : numericId(userPart, user);
  const passwd = parsePasswd(await readLines(files, '/etc/passwd'));
  const entry = passwd.find((e) => (uid === undefined ? e.name === userPart : e.uid === uid));
  if (uid === undefined && entry === undefined) throw userUnknown('user', userPart);
  const id = entry?.uid ?? uid ?? 0;
  // Runtimes look the home up by id: of several names of an id the first one's counts.
  const who = { uid: id, home: passwd.find((e) => e.uid === id)?.home || '/' };
  if (groupPart !== undefined && groupPart !== '') {
    const gid = numericId(groupPart, user) ?? (await namedGroup(files, groupPart));
    return { ...who, gid, additionalGids: [gid] };
  }
  const gid = entry?.gid ?? 0;
  if (entry === undefined) return { ...who, gid, additionalGids: [gid] };
  const groups = parseGroup(await readLines(files, '/etc/group')).filter((g) => g.members.includes(entry.name));
  const additionalGids = [...new Set([gid, ...groups.map((g) => g.gid)])];
  if (additionalGids.length > MOST_GROUPS) {
    const name = entry.name.slice(0, 100);
    throw userFileInvalid('/etc/group', `"${name}" is in ${additionalGids.length} groups, more than ${MOST_GROUPS}`);
  }
  return { ...who, gid, additionalGids };
}

async function namedGroup(files: UserFiles, name: string): Promise<number> {
  const entry = parseGroup(await readLines(files, '/etc/group')).find((g) => g.name === name);
  if (!entry) throw userUnknown('group', name);
  return entry.gid;
}

/** The id that TEXT is, or undefined where it is a name. */
function numericId(text: string, user: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const id = Number(text);
  if (id < 0 || id > HIGHEST_ID) throw userInvalid(user, `ids are 0 to ${HIGHEST_ID}`);
  return id;
}

async function readLines(files: UserFiles, path: string): Promise<readonly string[]> {
  const bytes = await files.read(path);
  if (bytes === undefined) return [];
  if (bytes.length > LARGEST_FILE) throw userFileInvalid(path, `it has more than ${LARGEST_FILE} bytes`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8').split('\n');
}

function fileId(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= HIGHEST_ID ? id : undefined;
}

function parsePasswd(lines: readonly string[]): PasswdEntry[] {
  const entries: PasswdEntry[] = [];
  for (const line of lines) {
    const [name = '', , uidText, gidText, , home = ''] = line.trim().split(':');
    const [uid, gid] = [fileId(uidText), fileId(gidText)];
    if (name === '' || name.startsWith('#') || uid === undefined || gid === undefined) continue;
    entries.push({ name, uid, gid, home: home.startsWith('/') ? home : '' });
  }
  return entries;
}

function parseGroup(lines: readonly string[]): GroupEntry[] {
  const entries: GroupEntry[] = [];
  for (const line of lines) {
    const [name = '', , gidText, members = ''] = line.trim().split(':');
    const gid = fileId(gidText);
    if (name === '' || name.startsWith('#') || gid === undefined) continue;
    entries.push({ name, gid, members: members.split(',').filter(Boolean) });
  }
  return entries;
}
