// The package's callback server with three topics, and what arrived on them.
//
// The topics have fixed names, the same in tests/java: a sidecar may ask for the list once in its life and serve several
// programs, one after another, that listen on the same port. Events of other runs are acknowledged and not kept.
'use strict';

const { status } = require('@grpc/grpc-js');
const { GRPCServerImpl, Server } = require('layotto');
const { eventually } = require('./checks');

const pubsubName = 'pub_subs_demo';
/** Handled at once. */
const STEADY = 'hello';
/** The first delivery of an event fails: kind `throw` in the handler, kind `error` as a gRPC error. */
const FLAKY = 'topic1';
/** Listed, yet without a handler: the package answers DROP. */
const DROPPED = 'topic2';

class Subscriber {
  constructor({ client, run, unique, environment }) {
    this.client = client;
    this.run = run;
    this.arrivals = [];
    this.warnings = [];
    this.failed = new Set();
    /** Has a handler but is not listed, so that nothing may ever arrive. */
    this.unlisted = unique('unlisted');
    const implementation = new FailingFirst(this, { logger: this.logger() });
    this.server = new Server(environment.appPort, implementation, { logger: this.logger() });
    this.server.pubsub.subscribe(pubsubName, STEADY, (data, request) => this.keep(data, request));
    this.server.pubsub.subscribe(pubsubName, FLAKY, (data, request) => this.failFirst(data, request), { any: 'thing' });
    this.server.pubsub.subscribe(pubsubName, this.unlisted, (data, request) => this.keep(data, request));
    // `subscribe` alone tells the sidecar nothing.
    for (const topic of [STEADY, FLAKY, DROPPED]) this.server.pubsub.addPubSubSubscription(pubsubName, topic);
  }

  logger() {
    return {
      info: () => {},
      warn: (line, ...values) => this.warnings.push([line, ...values].join(' ')),
      error: () => {},
    };
  }

  async keep(data, request) {
    this.arrivals.push({ data, request, text: Buffer.from(request.data).toString() });
  }

  async failFirst(data, request) {
    await this.keep(data, request);
    if (this.isFirst(request.id, 'throw', this.arrivals.at(-1).text)) throw new Error('first delivery, on purpose');
  }

  /** Whether this is the first delivery of an event of this run that wants to fail in this way. */
  isFirst(id, kind, text) {
    const wanted = text.includes(this.run) && text.includes(`"kind":"${kind}"`);
    if (!wanted || this.failed.has(id)) return false;
    this.failed.add(id);
    return true;
  }

  /** Starts to listen, and waits until events reach every listed topic. */
  async start() {
    await this.server.start();
    for (const topic of [STEADY, FLAKY]) {
      await eventually(`the subscription to ${topic} is live`, async () => {
        await this.publish(topic, { kind: 'probe' });
        return this.of(topic).some(({ text }) => text.includes(this.run));
      });
    }
    await eventually(`the subscription to ${DROPPED} is live`, async () => {
      await this.publish(DROPPED, { kind: 'probe' });
      return this.drops() > 0;
    });
  }

  publish(topic, data, metadata) {
    return this.client.pubsub.publish({ pubsubName, topic, data: { run: this.run, ...data }, metadata });
  }

  /**
   * Publishes an event that fails once, and waits until it is handled: what was to be delivered again before it, if
   * anything, has been by then.
   */
  async awaitRedelivery(mark) {
    await this.publish(FLAKY, { mark, kind: 'throw' });
    await eventually(`the event ${mark} comes again`, () => this.marked(mark).length >= 2);
  }

  /** What arrived on the topic, of this run or another. */
  of(topic) {
    return this.arrivals.filter(({ request }) => request.topic === topic);
  }

  /** What arrived of the event with this mark. */
  marked(mark) {
    return this.arrivals.filter(({ text }) => text.includes(mark));
  }

  drops() {
    return this.warnings.filter(line => line.includes(DROPPED)).length;
  }
}

/** The package's implementation, but for events that want a gRPC error: the package has no way to answer with one. */
class FailingFirst extends GRPCServerImpl {
  constructor(subscriber, options) {
    super(options);
    this.subscriber = subscriber;
  }

  async onTopicEvent(call, callback) {
    const text = Buffer.from(call.request.getData_asU8()).toString();
    if (this.subscriber.isFirst(call.request.getId(), 'error', text)) {
      return callback({ code: status.INTERNAL, details: 'first delivery, on purpose' });
    }
    return super.onTopicEvent(call, callback);
  }
}

module.exports = { DROPPED, FLAKY, STEADY, Subscriber, pubsubName };
