// Several keys in one call: SaveState, GetBulkState, DeleteBulkState (spec 3.14, 3.15, 3.17).
'use strict';

const { status } = require('@grpc/grpc-js');
const { RuntimeTypes } = require('layotto');
const { beginning } = require('../lib/checks');

const storeName = 'state_demo';

module.exports = async function stateBulk(session) {
  const { checks, client, unique } = session;
  const keys = ['a', 'b', 'c', 'd'].map(unique);
  const states = keys.map((key, index) => ({ key, value: `value ${index}` }));
  await checks.succeeds('several keys are saved in one call', () => client.state.save({ storeName, states }));
  await checks.succeeds('an empty list is saved', () => client.state.save({ storeName, states: [] }));

  await checks.equal('all are read in one call', async () => {
    const items = await client.state.getBulk({ storeName, keys });
    return items.map(({ key, value, metadata }) => ({ key, value, metadata }));
  }, states.map(({ key, value }) => ({ key, value: Buffer.from(value), metadata: {} })));
  await checks.equal('bulk and single reads give the same etags', async () => {
    const items = await client.state.getBulk({ storeName, keys });
    const singles = await Promise.all(keys.map(key => client.state.get({ storeName, key })));
    return items.map(({ etag }, index) => etag !== '' && etag === singles[index].etag);
  }, keys.map(() => true));
  await checks.equal('the client leaves out what has no data', async () => {
    const items = await client.state.getBulk({ storeName, keys: [keys[0], unique('missing'), keys[1]], parallelism: 2 });
    return items.map(({ key }) => key);
  }, keys.slice(0, 2));
  await checks.equal('no keys give no items', () => client.state.getBulk({ storeName, keys: [] }), []);

  await oneItemForEachKey(session, keys);
  await manyKeys(session);
  await deletion(session, keys);
  await refusals(session);
};

// The client drops empty items, so the wire is looked at.
async function oneItemForEachKey({ checks, call, unique }, [first, second]) {
  const missing = unique('missing');
  for (const parallelism of [0, 1, 10, -1]) {
    const request = new RuntimeTypes.GetBulkStateRequest();
    request.setStoreName(storeName);
    request.setKeysList([second, missing, first, second]);
    request.setParallelism(parallelism);
    await checks.equal(`each key gets one item in the order of the request, parallelism ${parallelism}`, async () => {
      const items = (await call('getBulkState', request)).getItemsList();
      return items.map(item => [item.getKey(), Buffer.from(item.getData_asU8()).toString(), item.getEtag() !== '', item.getError()]);
    }, [[second, 'value 1', true, ''], [missing, '', false, ''], [first, 'value 0', true, ''], [second, 'value 1', true, '']]);
  }
}

async function manyKeys({ checks, client, unique }) {
  const states = Array.from({ length: 150 }, (_, index) => ({ key: unique(`many-${index}`), value: Buffer.alloc(1 + index * 100, index) }));
  await client.state.save({ storeName, states });
  await checks.equal('150 values of growing size come back right', async () => {
    const items = await client.state.getBulk({ storeName, keys: states.map(({ key }) => key), parallelism: 10 });
    return items.filter(({ key, value }, index) => key === states[index]?.key && Buffer.compare(value, states[index].value) === 0).length;
  }, 150);
}

async function deletion({ checks, client, unique }, keys) {
  const left = async () => (await client.state.getBulk({ storeName, keys })).map(({ key }) => key);
  await checks.equal('several keys are deleted in one call', async () => {
    await client.state.deleteBulk({ storeName, states: keys.slice(0, 2).map(key => ({ key })) });
    return left();
  }, keys.slice(2));
  const [stale] = await client.state.getBulk({ storeName, keys: [keys[2]] });
  await client.state.save({ storeName, states: { key: keys[2], value: 'newer' } });
  await checks.refused('a stale etag is refused, and the error is not wrapped',
    () => client.state.deleteBulk({ storeName, states: [{ key: keys[2], etag: stale.etag }] }),
    status.UNKNOWN, beginning('possible etag mismatch. error from state store'));
  await checks.equal('a refused delete changes nothing', left, keys.slice(2));
  const [current] = await client.state.getBulk({ storeName, keys: [keys[2]] });
  await checks.equal('right and empty etags are accepted', async () => {
    await client.state.deleteBulk({ storeName, states: [{ key: keys[2], etag: current.etag }, { key: keys[3], etag: '' }] });
    return left();
  }, []);
  await checks.succeeds('missing keys are no error', () => client.state.deleteBulk({ storeName, states: [{ key: unique('missing') }] }));
  await checks.succeeds('an empty list is deleted', () => client.state.deleteBulk({ storeName, states: [] }));
}

async function refusals({ checks, client, unique }) {
  const wrongStore = 'state store nosuch is not found';
  await checks.refused('a bulk read names an unknown store',
    () => client.state.getBulk({ storeName: 'nosuch', keys: ['k'] }), status.INVALID_ARGUMENT, wrongStore);
  await checks.refused('a bulk delete names an unknown store',
    () => client.state.deleteBulk({ storeName: 'nosuch', states: [{ key: 'k' }] }), status.INVALID_ARGUMENT, wrongStore);
  const separator = "input key/keyPrefix 'a||b' can't contain '||'";
  await checks.refused('a bulk read refuses the separator in any key',
    () => client.state.getBulk({ storeName, keys: [unique('a'), 'a||b'] }), status.UNKNOWN, separator);
  await checks.refused('a bulk delete refuses the separator in any key',
    () => client.state.deleteBulk({ storeName, states: [{ key: 'a||b' }] }), status.UNKNOWN, separator);
  await checks.refused('keys are looked at before anything is saved',
    () => client.state.save({ storeName, states: [{ key: unique('early'), value: 'v' }, { key: 'a||b', value: 'v' }] }),
    status.UNKNOWN, separator);
  await checks.equal('so nothing was', () => client.state.get({ storeName, key: unique('early') }), null);
}
