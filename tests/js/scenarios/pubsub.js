// PublishEvent and OnTopicEvent (spec 4), with the package's own callback server.
'use strict';

const { status } = require('@grpc/grpc-js');
const { RuntimeTypes } = require('layotto');
const { beginning, eventually } = require('../lib/checks');
const { DROPPED, FLAKY, STEADY, Subscriber, pubsubName } = require('../lib/subscriber');

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

module.exports = async function pubsub(session) {
  const subscriber = new Subscriber(session);
  await session.checks.succeeds('the listed topics are subscribed to', () => subscriber.start());
  await jsonEvents(session, subscriber);
  await exactNumbers(session, subscriber);
  await otherTypes(session, subscriber);
  await cloudEvents(session, subscriber);
  await redelivery(session, subscriber);
  await drops(session, subscriber);
  await unlisted(session, subscriber);
  await refusals(session);
  await session.checks.succeeds('the callback server closes while the sidecar is connected', () => subscriber.server.close());
};

/** Publishes bytes of any type: the client knows objects as JSON only. */
function publishRaw({ call }, topic, data, contentType, metadata = {}) {
  const request = new RuntimeTypes.PublishEventRequest();
  request.setPubsubName(pubsubName);
  request.setTopic(topic);
  request.setData(Buffer.from(data));
  request.setDataContentType(contentType);
  for (const [key, value] of Object.entries(metadata)) request.getMetadataMap().set(key, value);
  return call('publishEvent', request);
}

/** The first arrival with this mark. */
async function arrival(subscriber, mark) {
  return eventually(`the event ${mark} arrives`, () => subscriber.marked(mark)[0]);
}

async function jsonEvents({ checks, unique }, subscriber) {
  const mark = unique('json');
  const data = { run: subscriber.run, mark, text: 'grüß <dich> & "mich"', empty: '', list: [1, -2, [true, null]], inner: { z: 1, a: 2 } };
  await checks.equal('an object arrives as it was published', async () => {
    await subscriber.publish(STEADY, data);
    return (await arrival(subscriber, mark)).data;
  }, data);
  await checks.equal('the envelope has its fixed attributes', async () => {
    const { id, data: bytes, ...attributes } = (await arrival(subscriber, mark)).request;
    return { ...attributes, id: UUID.test(id) || id };
  }, {
    id: true, source: 'runtime', type: 'com.runtime.event.sent', specVersion: '1.0', dataContentType: 'application/json',
    topic: STEADY, pubsubName, metadata: {},
  });
  const timed = unique('timed');
  await checks.equal('an event with time to live arrives, odd values are no error', async () => {
    await subscriber.publish(STEADY, { mark: timed }, { ttlInSeconds: '60' });
    await subscriber.publish(STEADY, { mark: timed }, { ttlInSeconds: 'soon' });
    return eventually('both arrive', () => subscriber.marked(timed).length === 2);
  }, true);
  await checks.equal('every event has an id of its own', () => new Set(subscriber.marked(timed).map(({ request }) => request.id)).size, 2);
  await checks.equal('an acknowledged event comes once', () => subscriber.marked(mark).length, 1);
  await checks.equal('50 events at once all arrive, each once', async () => {
    const many = unique('many');
    await Promise.all(Array.from({ length: 50 }, (_, index) => subscriber.publish(STEADY, { mark: many, index })));
    await eventually('50 arrive', () => subscriber.marked(many).length >= 50);
    return subscriber.marked(many).map(arrived => arrived.data.index).sort((a, b) => a - b).join();
  }, Array.from({ length: 50 }, (_, index) => index).join());
}

// Upstream sends numbers through a float with six decimals (spec 14: fix).
async function exactNumbers(session, subscriber) {
  const { checks, unique } = session;
  const numbers = { precise: 1.23456789, tiny: 1.2e-7, large: 9007199254740994, negative: -0.1, huge: 1.7976931348623157e308 };
  await checks.equal('numbers arrive exactly', async () => {
    const mark = unique('numbers');
    await subscriber.publish(STEADY, { mark, ...numbers });
    const { run, mark: _, ...found } = (await arrival(subscriber, mark)).data;
    return found;
  }, numbers);
  const digits = ['1.23456789', '9007199254740993', '0.1000000000000000055511151231257827', '18446744073709551617'];
  await checks.equal('also those that are no JavaScript numbers, to the digit', async () => {
    const mark = unique('digits');
    await publishRaw(session, STEADY, `{"mark":"${mark}","run":"${subscriber.run}","numbers":[${digits.join()}]}`, 'application/json');
    const { text } = await arrival(subscriber, mark);
    return /"numbers":\[([^\]]*)\]/.exec(text)[1].split(',');
  }, digits);
}

async function otherTypes(session, subscriber) {
  const { checks, unique } = session;
  const roundTrip = async (sentence, contentType, payload, expectedType = contentType) => {
    const mark = unique(sentence.replaceAll(' ', '-'));
    const data = Buffer.concat([Buffer.from(`${mark} `), payload]);
    await checks.equal(sentence, async () => {
      await publishRaw(session, STEADY, data, contentType);
      const { request } = await arrival(subscriber, mark);
      return [request.dataContentType, request.data];
    }, [expectedType, data]);
  };
  const text = Buffer.from('grüß "dich"\n<&>');
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  await roundTrip('text arrives as text', 'text/plain', text);
  await roundTrip('no type means text', '', text, 'text/plain');
  await roundTrip('parameters of a type are kept', 'text/plain; charset=utf-8', text);
  await roundTrip('XML arrives', 'application/xml', Buffer.from('<a>ü</a>'));
  await roundTrip('bytes arrive', 'application/octet-stream', bytes);
  await roundTrip('an unusual type keeps its data', 'application/x-foo', text);
  await roundTrip('text that is no UTF-8 arrives', 'text/plain', bytes);
  const mark = unique('no-json');
  await checks.equal('JSON that is none arrives as a JSON string', async () => {
    await publishRaw(session, STEADY, mark, 'application/json');
    return (await arrival(subscriber, mark)).text;
  }, JSON.stringify(mark));
}

async function cloudEvents(session, subscriber) {
  const { checks, unique } = session;
  const publish = event => publishRaw(session, STEADY, JSON.stringify(event), 'application/cloudevents+json');
  const mark = unique('cloudevent');
  const event = { id: `id-${mark}`, datacontenttype: 'text/plain', source: 'tests', type: 'tests.sent', specversion: '1.0', data: mark };
  await checks.equal('a cloud event keeps its attributes', async () => {
    await publish({ ...event, topic: 'elsewhere', pubsubname: 'elsewhere', extra: 'x' });
    const { id, source, type, specVersion, dataContentType, topic, pubsubName: name } = (await arrival(subscriber, mark)).request;
    return [id, source, type, specVersion, dataContentType, topic, name];
  }, [event.id, 'tests', 'tests.sent', '1.0', 'text/plain', STEADY, pubsubName]);
  const bare = unique('bare-cloudevent');
  await checks.equal('missing attributes have the defaults of cloud events', async () => {
    await publish({ id: `id-${bare}`, datacontenttype: 'text/plain', data: bare });
    const { source, type, specVersion } = (await arrival(subscriber, bare)).request;
    return [source, type, specVersion];
  }, ['Dapr', 'com.dapr.event.sent', '1.0']);
  await checks.refused('a cloud event that is no object is refused', () => publishRaw(session, STEADY, '[1', 'application/cloudevents+json'),
    status.INVALID_ARGUMENT, beginning('cannot create cloudevent: '));
  await checks.refused('a cloud event without an id is refused', () => publish({ ...event, id: undefined }),
    status.INVALID_ARGUMENT, /\bid\b/);
  await checks.refused('a cloud event without a type of its data is refused', () => publish({ ...event, datacontenttype: undefined }),
    status.INVALID_ARGUMENT, /\bdatacontenttype\b/);
}

async function redelivery({ checks, unique }, subscriber) {
  const mark = unique('redelivered');
  const later = unique('later');
  await checks.equal('an event whose handler throws comes again, the same', async () => {
    await subscriber.publish(FLAKY, { mark, kind: 'throw', number: 1.23456789 });
    await eventually('it comes again', () => subscriber.marked(mark).length >= 2);
    const [first, second] = subscriber.marked(mark);
    return [first.request.id === second.request.id, first.text === second.text, second.data.number];
  }, [true, true, 1.23456789]);
  await checks.equal('once handled it comes no more', async () => {
    await subscriber.awaitRedelivery(later);
    return [subscriber.marked(mark).length, subscriber.marked(later).length];
  }, [2, 2]);
  await checks.equal('an event that is answered with a gRPC error comes again', async () => {
    await subscriber.publish(FLAKY, { mark: unique('error'), kind: 'error' });
    await eventually('it is handled', () => subscriber.marked(unique('error')).length > 0);
    return [subscriber.marked(unique('error')).length, subscriber.failed.has(subscriber.marked(unique('error'))[0].request.id)];
  }, [1, true]);
}

async function drops({ checks, unique }, subscriber) {
  await checks.equal('an event that the app drops comes once', async () => {
    const before = subscriber.drops();
    await subscriber.publish(DROPPED, { mark: unique('dropped') });
    await eventually('it comes', () => subscriber.drops() > before);
    await subscriber.awaitRedelivery(unique('past-drop'));
    return subscriber.drops() - before;
  }, 1);
}

async function unlisted({ checks, unique }, subscriber) {
  await checks.equal('a topic that is not listed gets nothing', async () => {
    await subscriber.publish(subscriber.unlisted, { mark: unique('nowhere') });
    await subscriber.awaitRedelivery(unique('past-nothing'));
    return subscriber.marked(unique('nowhere')).length;
  }, 0);
}

async function refusals({ checks, client }) {
  const publish = request => client.pubsub.publish({ pubsubName, topic: STEADY, data: {}, ...request });
  await checks.refused('an empty pubsub name is refused', () => publish({ pubsubName: '' }),
    status.INVALID_ARGUMENT, 'pubsub name is empty');
  await checks.refused('an empty topic is refused', () => publish({ topic: '' }),
    status.INVALID_ARGUMENT, `topic is empty in pubsub ${pubsubName}`);
  await checks.refused('an unknown pubsub is named', () => publish({ pubsubName: 'nosuch' }),
    status.INVALID_ARGUMENT, 'pubsub nosuch not found');
  await checks.refused('the topic is looked at before the name is looked up', () => publish({ pubsubName: 'nosuch', topic: '' }),
    status.INVALID_ARGUMENT, 'topic is empty in pubsub nosuch');
}
