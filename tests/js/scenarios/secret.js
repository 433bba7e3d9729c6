// GetSecret, GetBulkSecret (spec 3.27, 3.28), by the generated stub: the client has no method for them.
//
// `secret_demo` is a local.file store over {"db-user-pass": {"password": "pw1", "username": "admin"}, "testPassword": "pw2"}.
'use strict';

const { status } = require('@grpc/grpc-js');
const { GetBulkSecretRequest, GetSecretRequest } = require('layotto').RuntimeTypes;

const SECRETS = { 'db-user-pass:password': 'pw1', 'db-user-pass:username': 'admin', testPassword: 'pw2' };

module.exports = async function secret({ checks, call }) {
  const get = async (storeName, key) => {
    const request = new GetSecretRequest();
    request.setStoreName(storeName);
    request.setKey(key);
    return Object.fromEntries((await call('getSecret', request)).getDataMap().toObject());
  };
  const getBulk = async storeName => {
    const request = new GetBulkSecretRequest();
    request.setStoreName(storeName);
    const entries = [...(await call('getBulkSecret', request)).getDataMap().entries()];
    return Object.fromEntries(entries.map(([name, response]) => [name, Object.fromEntries(response.getSecretsMap().toObject())]));
  };

  for (const [name, value] of Object.entries(SECRETS)) {
    await checks.equal(`${name} is found under its flattened name, alone`, () => get('secret_demo', name), { [name]: value });
  }
  await checks.equal('a bulk read gives every secret',
    () => getBulk('secret_demo'), Object.fromEntries(Object.entries(SECRETS).map(([name, value]) => [name, { [name]: value }])));
  await checks.refused('an unknown secret is refused', () => get('secret_demo', 'nosuch'), status.INTERNAL,
    'error when get secret : secret name => nosuch,store name =>secret_demo,error => secret nosuch not found');
  await checks.refused('a name that is only a branch is refused', () => get('secret_demo', 'db-user-pass'), status.INTERNAL,
    'error when get secret : secret name => db-user-pass,store name =>secret_demo,error => secret db-user-pass not found');
  const wrongStore = 'error when get secret but not find : nosuch';
  await checks.refused('an unknown store is named', () => get('nosuch', 'testPassword'), status.INVALID_ARGUMENT, wrongStore);
  await checks.refused('so it is by a bulk read', () => getBulk('nosuch'), status.INVALID_ARGUMENT, wrongStore);
};
