import assert from 'node:assert/strict';
import { checkSecretFiles, createSecrets } from '../src/secrets.js';

describe('secrets', () => {
  it('have their files before anything is built', () => {
    checkSecretFiles([{ id: 'here', file: import.meta.filename }, { id: 'variable', env: 'NOT_SET' }, { id: 'named' }]);
    assert.throws(() => checkSecretFiles([{ id: 'gone', file: '/nowhere/at/all' }]), {
      code: 'SECRET_INVALID',
      message: 'secret gone: cannot read "/nowhere/at/all": ENOENT',
    });
  });

  it('are empty where their variable is not set, and not there where nothing gives them', async () => {
    const secret = createSecrets(
      [
        { id: 'unset', env: 'NOT_SET' },
        { id: 'set', env: 'SET' },
      ],
      { SET: 'x' },
    );
    assert.deepEqual(await secret('unset'), Buffer.alloc(0));
    assert.deepEqual(await secret('set'), Buffer.from('x'));
    assert.equal(await secret('other'), undefined);
  });
});
