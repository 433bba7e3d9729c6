// ExecuteStateTransaction (spec 3.18). The client sends the etag `0` whenever none is given.
'use strict';

const { status } = require('@grpc/grpc-js');
const { RuntimeTypes, Types } = require('layotto');
const { beginning } = require('../lib/checks');

const storeName = 'state_demo';
const { Upsert, Delete } = Types.State.StateOperationType;

module.exports = async function stateTransaction(session) {
  await outcomes(session);
  await order(session);
  await expectations(session);
  await emptyParts(session);
  await refusals(session);
};

const upsert = (key, value, etag) => ({ operationType: Upsert, request: { key, value, etag } });
const remove = (key, etag) => ({ operationType: Delete, request: { key, etag } });

/** What the keys hold, as text; null for a missing key. */
async function contents(client, keys) {
  const items = await Promise.all(keys.map(key => client.state.get({ storeName, key })));
  return items.map(item => item && Buffer.from(item.value).toString());
}

async function outcomes({ checks, client, unique }) {
  const [existing, fresh, gone] = ['existing', 'fresh', 'gone'].map(unique);
  await client.state.save({ storeName, states: [{ key: existing, value: 'old' }, { key: gone, value: 'old' }] });
  const run = operations => client.state.executeTransaction({ storeName, operations });
  await checks.equal('upserts and deletes are done together', async () => {
    await run([upsert(existing, 'new'), upsert(fresh, 'new'), remove(gone)]);
    return contents(client, [existing, fresh, gone]);
  }, ['new', 'new', null]);
  const fresher = unique('fresher');
  await checks.equal('empty etags expect nothing, on existing and new keys alike', async () => {
    await run([upsert(existing, 'newer', ''), upsert(fresher, 'newer', ''), remove(fresh, ''), remove(gone, '')]);
    return contents(client, [existing, fresher, fresh]);
  }, ['newer', 'newer', null]);
  const bytes = Buffer.from([0, 255, 10, 13, 128]);
  await checks.equal('bytes come back as they were', async () => {
    await run([upsert(fresher, bytes)]);
    return (await client.state.get({ storeName, key: fresher })).value;
  }, bytes);
}

async function order({ checks, client, unique }) {
  const keys = ['1', '2', '3'].map(unique);
  const operations = [upsert(keys[0], 'x'), remove(keys[0]), upsert(keys[1], 'x'), remove(keys[2]), upsert(keys[2], 'x')];
  const run = async () => {
    await client.state.executeTransaction({ storeName, operations });
    return contents(client, keys);
  };
  await checks.equal('operations take effect in their order', run, [null, 'x', 'x']);
  await checks.equal('also when the keys were there before', run, [null, 'x', 'x']);
}

async function expectations({ checks, client, unique }) {
  const [guarded, other] = ['guarded', 'other'].map(unique);
  const save = value => client.state.save({ storeName, states: { key: guarded, value } });
  await save('a');
  const { etag: stale } = await client.state.get({ storeName, key: guarded });
  await save('b');
  const { etag: current } = await client.state.get({ storeName, key: guarded });
  const failing = beginning('error while executing state transaction: ');
  const run = operations => client.state.executeTransaction({ storeName, operations });
  await checks.refused('a stale etag fails an upsert', () => run([upsert(other, 'x'), upsert(guarded, 'x', stale)]), status.INTERNAL, failing);
  await checks.refused('a stale etag fails a delete', () => run([upsert(other, 'x'), remove(guarded, stale)]), status.INTERNAL, failing);
  await checks.equal('then nothing of the transaction happens', () => contents(client, [guarded, other]), ['b', null]);
  await checks.equal('and the etag stays', async () => (await client.state.get({ storeName, key: guarded })).etag, current);
  await checks.equal('the right etag is accepted', async () => {
    await run([upsert(other, 'x'), upsert(guarded, 'c', current)]);
    return contents(client, [guarded, other]);
  }, ['c', 'x']);
}

async function emptyParts({ checks, client, call, unique }) {
  await checks.succeeds('an empty transaction succeeds', () => client.state.executeTransaction({ storeName, operations: [] }));
  const key = unique('beside-a-hole');
  await checks.equal('an operation without a request is skipped, whatever its type', async () => {
    const request = new RuntimeTypes.ExecuteStateTransactionRequest();
    request.setStorename(storeName);
    const hole = new RuntimeTypes.TransactionalStateOperation();
    hole.setOperationtype('nonsense');
    const item = new RuntimeTypes.StateItem();
    item.setKey(key);
    item.setValue(Buffer.from('x'));
    const operation = new RuntimeTypes.TransactionalStateOperation();
    operation.setOperationtype('upsert');
    operation.setRequest(item);
    request.setOperationsList([hole, operation]);
    await call('executeStateTransaction', request);
    return contents(client, [key]);
  }, ['x']);
}

async function refusals({ checks, client, unique }) {
  const run = (operations, store = storeName) => client.state.executeTransaction({ storeName: store, operations });
  await checks.refused('an unknown store is named', () => run([upsert('k', 'v')], 'nosuch'),
    status.INVALID_ARGUMENT, 'state store nosuch is not found');
  await checks.refused('the separator in a key is refused', () => run([upsert(unique('k'), 'v'), upsert('a||b', 'v')]),
    status.UNKNOWN, "input key/keyPrefix 'a||b' can't contain '||'");
  await checks.refused('operation types are lower case',
    () => run([upsert(unique('k'), 'v'), { operationType: 'Upsert', request: { key: unique('k'), value: 'v' } }]),
    status.UNIMPLEMENTED, 'operation type Upsert not supported');
  await checks.equal('no refused transaction did anything', () => contents(client, [unique('k')]), [null]);
}
