import assert from 'node:assert/strict';
import { checkSecretFiles } from '../src/secrets.js';

describe('secrets', () => {
  it('have their files before anything is built', () => {
    checkSecretFiles([{ id: 'here', file: import.meta.filename }, { id: 'variable', env: 'NOT_SET' }, { id: 'named' }]);
    assert.throws(() => checkSecretFiles([{ id: 'gone', file: '/nowhere/at/all' }]), {
      code: 'SECRET_INVALID',
      message: 'secret gone: cannot read "/nowhere/at/all": ENOENT',
    });
  });
});
