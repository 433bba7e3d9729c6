// The package's callback server as one consumer of a topic: prints a line for each event, then acknowledges it.
//
//   node share.js PORT TOPIC
'use strict';

const { Server } = require('layotto');

const [port, topic] = process.argv.slice(2);
const quiet = { info: () => {}, warn: () => {}, error: () => {} };

async function main() {
  const server = new Server(port, undefined, { logger: quiet });
  server.pubsub.subscribe('pub_subs_demo', topic, async data => console.log(Buffer.from(data).toString()));
  server.pubsub.addPubSubSubscription('pub_subs_demo', topic);
  await server.start();
}

main();
