import assert from 'node:assert/strict';

import { isStrakeError } from '@strake/core';
import fc from 'fast-check';

import { resolveUser, type UserFiles } from '../src/index.js';

const PASSWD = `root:x:0:0:root:/root:/bin/sh
# comment:x:0:0::/:
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33::/var/www:/bin/false
web:x:1000:1000::/home/web:/bin/sh
nohome:x:1001:1001:::
123:x:77:77::/digits:
second:x:1000:33::/home/second:
broken:x:abc:0::/:
huge:x:4294967296:0::/:
wraps:x:-1:0::/:
short:x
:x:5:5::/:
`;
const GROUP = `root:x:0:
wheel:x:10:root,web,second
docker:x:999:web,daemon
www-data:x:33:
bad:x:zzz:web
`;

const files = (passwd: string | undefined = PASSWD, group: string | undefined = GROUP): UserFiles => ({
  read: (path) =>
    Promise.resolve(path === '/etc/passwd' ? bytes(passwd) : path === '/etc/group' ? bytes(group) : undefined),
});
const bytes = (text: string | undefined): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text));
const none: UserFiles = { read: () => Promise.resolve(undefined) };

describe('resolveUser', () => {
  const cases: [user: string, uid: number, gid: number, groups: number[], home: string][] = [
    ['', 0, 0, [0, 10], '/root'],
    ['root', 0, 0, [0, 10], '/root'],
    ['0', 0, 0, [0, 10], '/root'],
    ['web', 1000, 1000, [1000, 10, 999], '/home/web'],
    ['1000', 1000, 1000, [1000, 10, 999], '/home/web'],
    ['web:docker', 1000, 999, [999], '/home/web'],
    ['web:5', 1000, 5, [5], '/home/web'],
    ['1000:wheel', 1000, 10, [10], '/home/web'],
    ['4321', 4321, 0, [0], '/'],
    ['4321:8765', 4321, 8765, [8765], '/'],
    ['web:', 1000, 1000, [1000, 10, 999], '/home/web'],
    [':docker', 0, 999, [999], '/root'],
    ['nohome', 1001, 1001, [1001], '/'],
    ['123', 123, 0, [0], '/'],
    ['0001', 1, 1, [1, 999], '/usr/sbin'],
    ['2147483647', 2147483647, 0, [0], '/'],
    ['second', 1000, 33, [33, 10], '/home/web'],
  ];
  for (const [user, uid, gid, additionalGids, home] of cases) {
    it(`knows "${user}"`, async () => {
      assert.deepEqual(await resolveUser(files(), user), { uid, gid, additionalGids, home });
    });
  }

  it('needs no files for numbers and for nobody in particular', async () => {
    assert.deepEqual(await resolveUser(none, '12:34'), { uid: 12, gid: 34, additionalGids: [34], home: '/' });
    assert.deepEqual(await resolveUser(none, ''), { uid: 0, gid: 0, additionalGids: [0], home: '/' });
  });

  const refused: [user: string, code: string][] = [
    ['nobodyhere', 'USER_UNKNOWN'],
    ['web:nogrouphere', 'USER_UNKNOWN'],
    ['broken', 'USER_UNKNOWN'],
    ['huge', 'USER_UNKNOWN'],
    ['wraps', 'USER_UNKNOWN'],
    ['short', 'USER_UNKNOWN'],
    ['web:bad', 'USER_UNKNOWN'],
    ['2147483648', 'USER_INVALID'],
    ['4294967296', 'USER_INVALID'],
    ['18446744073709551616', 'USER_INVALID'],
    ['-1', 'USER_INVALID'],
    ['0:4294967296', 'USER_INVALID'],
    ['a\0b', 'USER_INVALID'],
    ['a\nroot', 'USER_INVALID'],
    ['1 # x', 'USER_UNKNOWN'],
  ];
  for (const [user, code] of refused) {
    it(`refuses ${JSON.stringify(user)}`, async () => {
      await assert.rejects(resolveUser(files(), user), (error) => isStrakeError(error, code));
    });
  }

  it('refuses a file without end (CVE-2024-9676)', async () => {
    const huge: UserFiles = { read: () => Promise.resolve(Buffer.alloc((16 << 20) + 1, 'x')) };
    await assert.rejects(resolveUser(huge, 'web'), (error) => isStrakeError(error, 'USER_FILE_INVALID'));
    assert.deepEqual(await resolveUser(huge, ''), { uid: 0, gid: 0, additionalGids: [0], home: '/' });
  });

  it('refuses a user of so many groups that a runtime would look them up for minutes', async () => {
    const groups = (count: number): string =>
      Array.from({ length: count }, (_, i) => `g${i}:x:${i + 2000}:web\n`).join('');
    assert.equal((await resolveUser(files(PASSWD, groups(1000)), 'web')).additionalGids.length, 1001);
    await assert.rejects(resolveUser(files(PASSWD, groups(70_000)), 'web'), /"web" is in 70001 groups, more than 1024/);
  });

  it('never makes anybody root whom the file does not (CVE-2024-40635, CVE-2026-47262, -46680, -30892)', async () => {
    const line = fc.array(fc.oneof(fc.string(), fc.constantFrom('x', '0', '1', 'eve', '-0', '0x0', ' 0', '')), {
      maxLength: 7,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(line), async (lines) => {
        const text = lines.map((fields) => fields.join(':')).join('\n');
        const found = await resolveUser(files(text, text), 'eve').catch((error: unknown) => {
          assert.ok(isStrakeError(error, 'USER_UNKNOWN'));
        });
        if (found?.uid === 0) assert.match(text, /^\s*eve:[^\n]*:0+:/m);
      }),
    );
  });
});
