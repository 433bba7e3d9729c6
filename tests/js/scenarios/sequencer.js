// GetNextId (spec 3.11). The client gives ids as decimal text.
'use strict';

const { status } = require('@grpc/grpc-js');
const { RuntimeTypes } = require('layotto');

const storeName = 'sequencer_demo';
const { WEAK, STRONG } = RuntimeTypes.SequencerOptions.AutoIncrement;

module.exports = async function sequencer(session) {
  const { checks, client, unique } = session;
  const next = (name, increment) => client.sequencer.getNextId(
    { storeName, key: unique(name), ...(increment === undefined ? {} : { options: { increment } }) });
  const several = async (count, name, increment) => {
    const ids = [];
    while (ids.length < count) ids.push(await next(name, increment));
    return ids;
  };

  await checks.equal('without options a fresh key gives 1, 2, 3 and so on', () => several(5, 'default'), ['1', '2', '3', '4', '5']);
  await checks.equal('WEAK does the same', () => several(5, 'weak', WEAK), ['1', '2', '3', '4', '5']);
  await checks.equal('another key counts on its own', () => next('other'), '1');
  await checks.equal('STRONG begins at 1', () => next('strong', STRONG), '1');
  await checks.holds('STRONG ids grow', () => several(20, 'strong', STRONG), 'each larger than the one before', growing);
  await checks.equal('100 WEAK calls at once give 1 to 100, each once', () => atOnce(100, () => next('weak-race', WEAK)),
    Array.from({ length: 100 }, (_, index) => index + 1));
  await checks.holds('100 STRONG calls at once give 100 ids', () => atOnce(100, () => next('strong-race', STRONG)),
    'no id twice', ids => new Set(ids).size === 100);
  await checks.holds('in any mix no id comes twice and STRONG is above all before',
    () => mixed(next), 'different ids, STRONG ones the largest so far', ids => wellMixed(ids));
  await checks.succeeds('metadata is tolerated', () => client.sequencer.getNextId({ storeName, key: unique('meta'), metadata: { any: 'thing' } }));
  await refusals(session);
};

const growing = ids => ids.every((id, index) => index === 0 || BigInt(id) > BigInt(ids[index - 1]));

async function atOnce(count, ask) {
  const ids = await Promise.all(Array.from({ length: count }, ask));
  return ids.map(Number).sort((a, b) => a - b);
}

async function mixed(next) {
  const given = [];
  for (const increment of [WEAK, WEAK, STRONG, WEAK, STRONG, STRONG, WEAK, WEAK, STRONG]) {
    given.push({ increment, id: BigInt(await next('mixed', increment)) });
  }
  return given;
}

function wellMixed(given) {
  const ids = given.map(({ id }) => id);
  const strongAbove = given.every(({ increment, id }, index) => increment === WEAK || ids.slice(0, index).every(before => before < id));
  return new Set(ids).size === ids.length && strongAbove;
}

async function refusals({ checks, client, unique }) {
  const next = request => client.sequencer.getNextId({ storeName, key: unique('k'), ...request });
  await checks.refused('an empty key is refused', () => next({ key: '' }),
    status.INVALID_ARGUMENT, `Key is empty in sequencer store ${storeName}`);
  await checks.refused('an unknown kind of increment is refused', () => next({ options: { increment: 7 } }),
    status.UNKNOWN, 'options.Increment is illegal');
  await checks.refused('the separator is refused', () => next({ key: 'a||b' }),
    status.UNKNOWN, "input key/keyPrefix 'a||b' can't contain '||'");
  await checks.refused('an unknown store is named', () => next({ storeName: 'nosuch' }),
    status.INVALID_ARGUMENT, 'Sequencer store nosuch not found');
  await checks.refused('the key is looked at before the store', () => next({ storeName: 'nosuch', key: 'a||b' }),
    status.UNKNOWN, "input key/keyPrefix 'a||b' can't contain '||'");
}
