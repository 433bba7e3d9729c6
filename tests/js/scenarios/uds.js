// The same API over a Unix domain socket (spec 2.1): a few calls of each shape.
'use strict';

const { buffer } = require('node:stream/consumers');
const { join } = require('node:path');
const { eventually } = require('../lib/checks');

module.exports = async function uds({ checks, client, environment, unique }) {
  await checks.equal('the demo greeting comes back', () => client.hello.sayHello({ name: 'eva' }), 'greeting, eva');
  await checks.equal('a value comes back', async () => {
    await client.state.save({ storeName: 'state_demo', states: { key: unique('key'), value: 'over a socket' } });
    return (await client.state.get({ storeName: 'state_demo', key: unique('key') })).value;
  }, Buffer.from('over a socket'));
  await checks.equal('streams work in both directions', async () => {
    const name = join(environment.require('workDirectory', 'BELAY_WORK_DIR'), unique('streamed'));
    const data = Buffer.alloc(300_000, 'x');
    await client.file.put({ storeName: 'file_demo', name, data, metadata: { FileMode: '420', FileFlag: '578' } });
    return eventually('the file is whole', async () => {
      const found = await buffer(await client.file.get({ storeName: 'file_demo', name })).catch(() => Buffer.alloc(0));
      return found.equals(data);
    });
  }, true);
};
