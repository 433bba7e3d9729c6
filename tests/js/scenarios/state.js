// GetState, SaveState, DeleteState (spec 3.12 to 3.16). The client sends the etag `0` whenever none is given.
'use strict';

const { randomBytes } = require('node:crypto');
const { status } = require('@grpc/grpc-js');
const { RuntimeTypes } = require('layotto');
const { beginning } = require('../lib/checks');

const storeName = 'state_demo';
const { StateConcurrency, StateConsistency } = RuntimeTypes.StateOptions;
const FIRST_WRITE = { concurrency: StateConcurrency.CONCURRENCY_FIRST_WRITE, consistency: StateConsistency.CONSISTENCY_STRONG };
const LAST_WRITE = { concurrency: StateConcurrency.CONCURRENCY_LAST_WRITE, consistency: StateConsistency.CONSISTENCY_STRONG };
const MISMATCH = 'possible etag mismatch. error from state store';

module.exports = async function state(session) {
  await values(session);
  await etags(session);
  await firstWrite(session);
  await lastWrite(session);
  await deletion(session);
  await refusals(session);
};

async function values({ checks, client, unique }) {
  const get = key => client.state.get({ storeName, key });
  const roundTrip = async (sentence, key, value) => {
    await checks.equal(sentence, async () => {
      await client.state.save({ storeName, states: { key, value } });
      const found = await get(key);
      return found.value;
    }, Buffer.from(value));
  };
  await checks.equal('a missing key is null to the client', () => get(unique('missing')), null);
  await roundTrip('text comes back byte for byte', unique('text'), 'hello world, grüß dich, 世界');
  await roundTrip('all byte values come back', unique('bytes'), Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
  await roundTrip('text that looks like base64 comes back as it is', unique('base64'), 'aGVsbG8gd29ybGQ=');
  await roundTrip('text that looks like JSON comes back as it is', unique('json'), '{"b": 1.0,  "a":[9007199254740993]}');
  await roundTrip('1 MiB comes back', unique('large'), randomBytes(1024 * 1024));
  await roundTrip('an empty value is not a missing key', unique('empty'), '');
  await roundTrip('a key may have blanks, slashes and other letters', unique('a b/c:d|e ü'), 'odd');
  await checks.equal('the answer names the key and has no metadata', async () => {
    const { key, metadata } = await get(unique('text'));
    return { key, metadata };
  }, { key: unique('text'), metadata: {} });
  await checks.equal('metadata with a read is tolerated',
    async () => (await client.state.get({ storeName, key: unique('empty'), metadata: { any: 'thing' } })).value, Buffer.alloc(0));
}

async function etags({ checks, client, unique }) {
  const key = unique('etag');
  const save = item => client.state.save({ storeName, states: { key, ...item } });
  const get = () => client.state.get({ storeName, key });
  const seen = [];
  for (const item of [{ value: 'a' }, { value: 'a' }, { value: 'b', etag: '' }, { value: 'b', etag: '0' }]) {
    await save(item);
    seen.push((await get()).etag);
  }
  await checks.holds('every write makes a new etag, unchanged values included', seen, '4 different, non-empty etags',
    etagList => new Set(etagList).size === 4 && !etagList.includes(''));
  await checks.equal('the etags 0 and empty expect nothing', async () => (await get()).value, Buffer.from('b'));

  const [stale] = seen;
  const { etag: current } = await get();
  await checks.refused('a stale etag is refused',
    () => save({ value: 'x', etag: stale }), status.ABORTED, beginning(`failed saving state in state store ${storeName}: ${MISMATCH}`));
  await checks.equal('a refused save changes nothing', async () => {
    const { value, etag } = await get();
    return { value, etag };
  }, { value: Buffer.from('b'), etag: current });
  await checks.equal('the right etag is accepted', async () => {
    await save({ value: 'c', etag: current });
    return (await get()).value;
  }, Buffer.from('c'));
  await checks.refused('an etag is good for one write',
    () => save({ value: 'd', etag: current }), status.ABORTED, beginning(`failed saving state in state store ${storeName}: ${MISMATCH}`));
}

async function firstWrite({ checks, client, unique }) {
  const key = unique('first-write');
  const save = (value, etag) => client.state.save({ storeName, states: { key, value, etag, options: FIRST_WRITE } });
  const get = () => client.state.get({ storeName, key });
  const aborted = beginning(`failed saving state in state store ${storeName}: ${MISMATCH}`);
  await checks.succeeds('FIRST_WRITE without an etag creates a key', () => save('a'));
  const { etag } = await get();
  await checks.refused('FIRST_WRITE with the etag 0 on an existing key is refused', () => save('b'), status.ABORTED, aborted);
  await checks.refused('FIRST_WRITE with an empty etag on an existing key is refused', () => save('b', ''), status.ABORTED, aborted);
  await checks.equal('the first value stays', async () => (await get()).value, Buffer.from('a'));
  await checks.equal('FIRST_WRITE with the right etag is accepted', async () => {
    await save('c', etag);
    return (await get()).value;
  }, Buffer.from('c'));
  await checks.refused('FIRST_WRITE with a stale etag is refused', () => save('d', etag), status.ABORTED, aborted);
  await checks.equal('of 20 creators at once one wins', async () => {
    const item = { key: unique('race'), options: FIRST_WRITE };
    const race = Array.from({ length: 20 }, (_, index) => client.state.save({ storeName, states: { ...item, value: `${index}` } }));
    const outcomes = await Promise.allSettled(race);
    const winners = outcomes.flatMap(({ status: outcome }, index) => (outcome === 'fulfilled' ? [`${index}`] : []));
    const { value } = await client.state.get({ storeName, key: item.key });
    return { winners: winners.length, stored: Buffer.from(value).toString() === winners[0] };
  }, { winners: 1, stored: true });
}

async function lastWrite({ checks, client, unique }) {
  const save = key => client.state.save({ storeName, states: { key, value: 'last', etag: '2', options: LAST_WRITE } });
  const get = async key => (await client.state.get({ storeName, key })).value;
  const key = unique('last-write');
  await client.state.save({ storeName, states: { key, value: 'first' } });
  await checks.equal('LAST_WRITE takes no notice of a wrong etag', () => save(key).then(() => get(key)), Buffer.from('last'));
  const fresh = unique('last-write-fresh');
  await checks.equal('LAST_WRITE with an etag creates a missing key', () => save(fresh).then(() => get(fresh)), Buffer.from('last'));
}

async function deletion({ checks, client, unique }) {
  const key = unique('deletion');
  const put = async value => {
    await client.state.save({ storeName, states: { key, value } });
    return (await client.state.get({ storeName, key })).etag;
  };
  const remove = options => client.state.delete({ storeName, key, ...options });
  const get = () => client.state.get({ storeName, key });
  const aborted = beginning(`failed deleting state with key ${key}: ${MISMATCH}`);
  await put('a');
  await checks.equal('a delete without an etag deletes', () => remove().then(get), null);
  await checks.succeeds('deleting a missing key is no error', () => remove());
  const stale = await put('b');
  const current = await put('c');
  await checks.refused('a delete with a stale etag is refused', () => remove({ etag: stale }), status.ABORTED, aborted);
  await checks.refused('FIRST_WRITE makes no difference to that',
    () => remove({ etag: stale, options: FIRST_WRITE }), status.ABORTED, aborted);
  await checks.equal('a refused delete changes nothing', async () => {
    const { value, etag } = await get();
    return { value, etag };
  }, { value: Buffer.from('c'), etag: current });
  await checks.equal('a delete with the right etag deletes', () => remove({ etag: current, metadata: { any: 'thing' } }).then(get), null);
}

async function refusals({ checks, client, unique }) {
  const wrongStore = 'state store nosuch is not found';
  await checks.refused('get names an unknown store',
    () => client.state.get({ storeName: 'nosuch', key: 'k' }), status.INVALID_ARGUMENT, wrongStore);
  await checks.refused('save names an unknown store',
    () => client.state.save({ storeName: 'nosuch', states: { key: 'k', value: 'v' } }), status.INVALID_ARGUMENT, wrongStore);
  await checks.refused('delete names an unknown store',
    () => client.state.delete({ storeName: 'nosuch', key: 'k' }), status.INVALID_ARGUMENT, wrongStore);
  const separator = "input key/keyPrefix 'a||b' can't contain '||'";
  await checks.refused('get refuses the separator in a key',
    () => client.state.get({ storeName, key: 'a||b' }), status.UNKNOWN, separator);
  await checks.refused('save refuses the separator in a key',
    () => client.state.save({ storeName, states: { key: 'a||b', value: 'v' } }), status.UNKNOWN, separator);
  await checks.refused('delete refuses the separator in a key',
    () => client.state.delete({ storeName, key: 'a||b' }), status.UNKNOWN, separator);
  // The text of this one is the gRPC library's.
  await checks.refused('a request of more than 4 MiB is refused',
    () => client.state.save({ storeName, states: { key: unique('huge'), value: Buffer.alloc(5 * 1024 * 1024) } }),
    status.RESOURCE_EXHAUSTED, /./);
}
