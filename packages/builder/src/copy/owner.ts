import { parseOwner } from '@strake/parser';

import { builderError } from '../errors.js';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Reads a file of the tree that names are looked up in; undefined where it is missing. */
export type ReadText = (path: string) => Promise<string | undefined>;

const MAX_ID = 2 ** 31 - 1;

/** The id in a field of a passwd or group file. */
function fieldId(field: string | undefined): number {
  const id = /^\d+$/.test(field ?? '') ? Number(field) : NaN;
  if (id <= MAX_ID) return id;
  throw builderError('ARGUMENT_INVALID', `the user database of the image has the id "${field}"`);
}

/** The fields of NAME's line in a passwd or group file. */
async function lineOf(read: ReadText, file: string, name: string): Promise<string[] | undefined> {
  for (const line of ((await read(file)) ?? '').split('\n')) {
    const fields = line.trim().split(':');
    if (fields[0] === name) return fields;
  }
  return undefined;
}

/**
 * Who `--chown`, or the folder of a WORKDIR, belongs to: `user[:group]`. A bare name takes the group of its passwd line, a bare
 * number is both uid and gid; an empty side (`5:`, `:5`) is 0. BuildKit takes an unknown user for 0, and the user's
 * group for an unknown group; here they are errors.
 * @param read reads /etc/passwd and /etc/group of the stage; absent where names cannot be looked up (`--link`, scratch)
 * @param unknown what a name means that is not there: an error, or what BuildKit makes of it
 * @throws StrakeError `ARGUMENT_INVALID`
 */
export async function resolveOwner(
  text: string,
  read: ReadText | undefined,
  unknown: 'refuse' | 'ignore' = 'refuse',
): Promise<Owner> {
  const { user, group } = parseOwner(text);
  const lookup = async (file: 'passwd' | 'group', name: string): Promise<string[] | undefined> => {
    if (!read) {
      throw builderError('ARGUMENT_INVALID', `invalid user index: the name "${name}" cannot be looked up here`, {
        hint: 'On scratch and with --link there is no /etc/passwd: write numbers.',
      });
    }
    const fields = await lineOf(read, `etc/${file}`, name);
    if (!fields && unknown === 'refuse') {
      throw builderError('ARGUMENT_INVALID', `no "${name}" in /etc/${file} of the image`, {
        hint: 'Make it with a RUN before, or write a number.',
      });
    }
    return fields;
  };
  let uid: number;
  let gid: number;
  if ('id' in user) [uid, gid] = [user.id, user.id];
  else if (user.name === '') [uid, gid] = [0, 0];
  else {
    const fields = await lookup('passwd', user.name);
    [uid, gid] = fields ? [fieldId(fields[2]), fieldId(fields[3])] : [0, 0];
  }
  if (group && 'id' in group) gid = group.id;
  else if (group?.name === '') gid = 0;
  else if (group) {
    const fields = await lookup('group', group.name);
    if (fields) gid = fieldId(fields[2]);
  }
  return { uid, gid };
}
