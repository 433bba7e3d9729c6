// InvokeService over HTTP (spec 3.2): `HelloService:1.0` is the echo app.
'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');
const { status } = require('@grpc/grpc-js');
const { Any } = require('google-protobuf/google/protobuf/any_pb');
const { RuntimeTypes } = require('layotto');
const { checkEcho } = require('../lib/echo');

const id = 'HelloService:1.0';
const { Verb } = RuntimeTypes.HTTPExtension;

module.exports = async function invoke(session) {
  const whenTold = await checkEcho(session);
  await demo(session);
  await payloads(session);
  await requestLine(session);
  await whenTold('what the app hears of a verb', () => verbs(session));
  await whenTold('which headers the app hears', () => headers(session));
  await whenTold('a status other than 200', () => session.checks.refused('a status other than 200 is an error',
    () => session.client.invoker.invoke({ id, method: '/status/404' }), status.UNAVAILABLE, 'http response code 404, body: no such thing'));
};

async function demo({ checks, client }) {
  await checks.equal('the demo call brings back what it sent', () => client.invoker.invoke({ id, method: '/hello', data: 'hello runtime' }),
    { contentType: 'text/plain', content: 'hello runtime' });
  // The echo app answers with the type it was sent.
  await checks.equal("without data there is no type, gRPC's own does not travel on", () => client.invoker.invoke({ id, method: '/hello' }),
    { contentType: '', content: Buffer.alloc(0) });
}

async function payloads({ checks, client }) {
  const value = { text: 'grüß dich', number: 1.5, list: [1, null, { deep: true }] };
  await checks.equal('an object goes and comes as JSON',
    () => client.invoker.invoke({ id, method: '/hello', httpVerb: Verb.POST, data: value }), { contentType: 'application/json', content: value });
  await checks.equal('a content type may be given, an unknown one comes back as bytes',
    () => client.invoker.invoke({ id, method: '/hello', httpVerb: Verb.PUT, data: 'grüß dich', contentType: 'text/x-test' }),
    { contentType: 'text/x-test', content: Buffer.from('grüß dich') });
  const large = 'x'.repeat(1024 * 1024);
  await checks.equal('1 MiB goes and comes',
    async () => (await client.invoker.invoke({ id, method: '/hello', httpVerb: Verb.POST, data: [large] })).content[0].length, large.length);
}

// By the generated stub: the client shows no header of the answer, and has no field for a query string.
async function requestLine({ checks, callWithHeader }) {
  const asked = async (method, verb, querystring) => {
    const message = new RuntimeTypes.CommonInvokeRequest();
    message.setMethod(method);
    message.setContentType('text/plain; charset=UTF-8');
    const data = new Any();
    data.setValue(Buffer.from('x'));
    message.setData(data);
    if (verb !== undefined) {
      const extension = new RuntimeTypes.HTTPExtension();
      extension.setVerb(verb);
      extension.setQuerystring(querystring ?? '');
      message.setHttpExtension(extension);
    }
    const request = new RuntimeTypes.InvokeServiceRequest();
    request.setId(id);
    request.setMessage(message);
    const { response, header } = await callWithHeader('invokeService', request);
    return [header.get('asked')[0], response.getContentType(), Buffer.from(response.getData().getValue_asU8()).toString()];
  };
  const type = 'text/plain; charset=UTF-8';
  await checks.equal('the headers of the answer come as metadata', () => asked('/hello', Verb.POST), ['POST /hello', type, 'x']);
  await checks.equal('without an extension it is a GET, with its body', () => asked('/hello'), ['GET /hello', type, 'x']);
  await checks.equal('the verb NONE means GET', () => asked('/hello', Verb.NONE), ['GET /hello', type, 'x']);
  await checks.equal('the query string is appended', () => asked('/hello', Verb.PATCH, 'a=1&b=%C3%BC'), ['PATCH /hello?a=1&b=%C3%BC', type, 'x']);
}

async function verbs({ checks, client }) {
  const heard = async httpVerb => Buffer.from((await client.invoker.invoke({ id, method: '/asked', httpVerb })).content).toString();
  for (const name of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    await checks.equal(`the verb ${name} is used`, () => heard(Verb[name]), `${name} /asked`);
  }
  await checks.equal('no verb means GET', () => heard(), 'GET /asked');
}

async function headers({ checks, client, connect }) {
  const heard = async (name, { requestMeta, through = client } = {}) =>
    Buffer.from((await through.invoker.invoke({ id, method: `/heard/${name}`, requestMeta })).content).toString();
  await checks.equal('metadata of the request becomes headers', () => heard('x-trace-id', { requestMeta: { 'x-trace-id': 'abc' } }), 'abc');
  await checks.equal('the service id is a header', () => heard('id'), id);
  await checks.equal('the host is localhost', async () => (await heard('host')).split(':')[0], 'localhost');
  await checks.equal('what belongs to the gRPC connection stays behind', () => heard('te'), '');
  const localStorage = new AsyncLocalStorage();
  const hooked = connect({ localStorage, createMetadataHook: storage => ({ 'x-user': storage.getStore() }) });
  await checks.equal("the client's metadata hook works", () => localStorage.run('eva', () => heard('x-user', { through: hooked })), 'eva');
}
