// GetConfiguration, SaveConfiguration, DeleteConfiguration, SubscribeConfiguration (spec 3.3 to 3.7).
'use strict';

const { status } = require('@grpc/grpc-js');
const { eventually } = require('../lib/checks');

const storeName = 'config_demo';
const appId = 'apollo-test';
const UNKNOWN_STORE = "configure store [nosuch] don't support now";

module.exports = async function configuration(session) {
  await reading(session);
  await deletion(session);
  await changesInOrder(session);
  await severalWatchers(session);
  await ends(session);
  await refusals(session);
};

async function reading({ checks, client, unique }) {
  const [first, second] = ['first', 'second'].map(unique);
  const scope = { storeName, appId, group: 'application', label: 'prod' };
  const get = async keys => (await client.configuration.get({ ...scope, keys })).map(({ key, content, group }) => ({ key, content, group }));
  await checks.succeeds('two items are saved', () => client.configuration.save({
    storeName, appId, items: [
      { key: first, content: 'value 1', group: 'application', label: 'prod' },
      { key: second, content: 'grüß dich\n{"a": 1}', group: 'application', label: 'prod' },
    ],
  }));
  const items = [
    { key: second, content: 'grüß dich\n{"a": 1}', group: 'application' },
    { key: first, content: 'value 1', group: 'application' },
  ];
  await checks.equal('they are read in the order of the request', () => get([second, first]), items);
  await checks.equal('missing keys are absent from the answer', () => get([unique('missing'), first]), items.slice(1));
  await checks.equal('tags that were never sent are empty',
    async () => (await client.configuration.get({ ...scope, keys: [first] })).map(({ tags }) => tags), [{}]);
  await checks.equal('a later save replaces the content', async () => {
    await client.configuration.save({ storeName, appId, items: [{ key: first, content: 'value 2', group: 'application', label: 'prod' }] });
    return (await get([first])).map(({ content }) => content);
  }, ['value 2']);
  await checks.equal('without a group the default is used', async () => {
    const key = unique('default');
    await client.configuration.save({ storeName, appId, items: [{ key, content: 'x' }], metadata: { any: 'thing' } });
    const found = await client.configuration.get({ storeName, appId, keys: [key], subscribeUpdate: true, metadata: { any: 'thing' } });
    return found.map(({ content, group }) => ({ content, group }));
  }, [{ content: 'x', group: 'default' }]);
}

async function deletion({ checks, client, unique }) {
  // Upstream's etcd store deletes by prefix and takes the longer key with it (spec 14: fix).
  const [key, longer] = [unique('key1'), unique('key10')];
  await client.configuration.save({ storeName, appId, items: [{ key, content: 'a' }, { key: longer, content: 'b' }] });
  const contents = async () => (await client.configuration.get({ storeName, appId, keys: [key, longer] })).map(({ content }) => content);
  await checks.equal('a delete takes exactly its key', async () => {
    await client.configuration.delete({ storeName, appId, keys: [key] });
    return contents();
  }, ['b']);
  await checks.succeeds('deleting an unknown key is no error', () => client.configuration.delete({ storeName, appId, keys: [unique('missing')] }));
  await checks.succeeds('deleting no keys is no error',
    () => client.configuration.delete({ storeName, appId, keys: [], metadata: { any: 'thing' } }));
  await checks.equal('and deletes nothing', contents, ['b']);
}

/**
 * A subscription that is known to be live: nothing on the wire says so, therefore one key of its own is saved until a
 * change of it arrives.
 */
class Watch {
  constructor({ client, unique }, name, keys, store = storeName) {
    this.client = client;
    this.pulse = unique(`pulse-${name}`);
    this.beats = 0;
    this.messages = [];
    this.call = client.configuration.subscribe({
      storeName: store,
      appId,
      keys: [this.pulse, ...keys],
      onData: items => this.messages.push(items),
      onClose: error => { this.closed = { error }; },
    });
  }

  async live() {
    await eventually('a change of the own key arrives', async () => {
      await this.beat();
      return this.messages.flat().some(({ key }) => key === this.pulse);
    });
    return this;
  }

  async beat() {
    this.beats += 1;
    await this.client.configuration.save({ storeName, appId, items: [{ key: this.pulse, content: `${this.beats}` }] });
  }

  changes() {
    return this.messages.flat().filter(({ key }) => key !== this.pulse).map(({ key, content }) => [key, content]);
  }

  /** The changes once there are as many as expected and a later change of the own key has come: nothing is under way. */
  async settled(count) {
    await eventually(`${count} changes arrive`, () => this.changes().length >= count);
    await this.beat();
    const last = `${this.beats}`;
    await eventually('a later change of the own key arrives',
      () => this.messages.flat().some(({ key, content }) => key === this.pulse && content === last));
    return this.changes();
  }
}

async function changesInOrder(session) {
  const { checks, client, unique } = session;
  const [watched, second, unwatched] = ['watched', 'second', 'unwatched'].map(unique);
  const save = (key, content) => client.configuration.save({ storeName, appId, items: [{ key, content }] });
  const watch = new Watch(session, 'order', [watched, second]);
  await checks.succeeds('a subscription reports changes', () => watch.live());
  await checks.equal('each change comes once, in order, and deletion as an item with empty content', async () => {
    for (const content of ['1', '2', '3', '2']) await save(watched, content);
    await save(unwatched, 'x');
    await client.configuration.delete({ storeName, appId, keys: [watched] });
    await save(second, 'a');
    await save(watched, '4');
    return watch.settled(7);
  }, [[watched, '1'], [watched, '2'], [watched, '3'], [watched, '2'], [watched, ''], [second, 'a'], [watched, '4']]);
  await checks.equal('items of one save all come', async () => {
    await client.configuration.save({ storeName, appId, items: [{ key: watched, content: 'both' }, { key: second, content: 'both' }] });
    return (await watch.settled(9)).slice(7).sort();
  }, [[second, 'both'], [watched, 'both']].sort());
  await checks.equal('a hundred quick changes come, each once', async () => {
    const many = Array.from({ length: 100 }, (_, index) => `${index}`);
    for (const content of many) await save(second, content);
    return (await watch.settled(109)).slice(9).map(([, content]) => content).join();
  }, Array.from({ length: 100 }, (_, index) => `${index}`).join());
  await checks.holds('no message is without items', watch.messages, 'at least one item in each', all => all.every(items => items.length > 0));
  watch.call.cancel();
}

async function severalWatchers(session) {
  const { checks, client, unique } = session;
  const key = unique('shared');
  const save = content => client.configuration.save({ storeName, appId, items: [{ key, content }] });
  const [first, second] = [new Watch(session, 'first', [key]), new Watch(session, 'second', [key])];
  await checks.equal('two subscriptions both see a change', async () => {
    await Promise.all([first.live(), second.live()]);
    await save('1');
    return [await first.settled(1), await second.settled(1)];
  }, [[[key, '1']], [[key, '1']]]);
  await checks.equal('the end of one leaves the other alone', async () => {
    first.call.cancel();
    await eventually('the first is closed', () => first.closed);
    await save('2');
    return [await second.settled(2), second.closed];
  }, [[[key, '1'], [key, '2']], undefined]);
  await checks.equal('the end of the sending side does not end the stream', async () => {
    second.call.end();
    await save('3');
    return [(await second.settled(3)).at(-1), second.closed];
  }, [[key, '3'], undefined]);
  second.call.cancel();
}

async function ends(session) {
  const { checks, unique } = session;
  await checks.equal('a cancelled subscription is closed', async () => {
    const watch = await new Watch(session, 'cancelled', []).live();
    watch.call.cancel();
    await eventually('onClose is called', () => watch.closed);
    return watch.closed.error.code;
  }, status.CANCELLED);
  await checks.refused('a subscription to an unknown store ends with the reason', async () => {
    const watch = new Watch(session, 'nosuch', [unique('k')], 'nosuch');
    await eventually('onClose is called', () => watch.closed);
    throw watch.closed.error;
  }, status.UNKNOWN, UNKNOWN_STORE);
}

async function refusals({ checks, client }) {
  await checks.refused('get names an unknown store',
    () => client.configuration.get({ storeName: 'nosuch', appId, keys: ['k'] }), status.UNKNOWN, UNKNOWN_STORE);
  await checks.refused('save names an unknown store',
    () => client.configuration.save({ storeName: 'nosuch', appId, items: [{ key: 'k', content: 'v' }] }), status.UNKNOWN, UNKNOWN_STORE);
  await checks.refused('delete names an unknown store',
    () => client.configuration.delete({ storeName: 'nosuch', appId, keys: ['k'] }), status.UNKNOWN, UNKNOWN_STORE);
}
