// InvokeBinding (spec 3.26): `bindings_demo` is the http binding over the echo app.
'use strict';

const { status } = require('@grpc/grpc-js');
const { beginning } = require('../lib/checks');
const { checkEcho } = require('../lib/echo');

const JSON_TYPE = 'application/json; charset=utf-8';
const FAILING = 'error when invoke output binding bindings_demo: ';

module.exports = async function binding(session) {
  const whenTold = await checkEcho(session);
  const { checks, client } = session;
  const invoke = (operation, data = '', metadata = {}, name = 'bindings_demo') =>
    client.binding.invoke({ name, operation, data, metadata: { path: '/hello', ...metadata } });
  await operations(checks, invoke);
  await payloads(checks, invoke);
  await whenTold('which metadata becomes a header', () => headers(checks, invoke));
  await refusals(checks, invoke, whenTold);
};

async function operations(checks, invoke) {
  await checks.equal('the answer has status and headers as metadata', async () => {
    const { metadata } = await invoke('post', 'x', { 'Content-Type': 'text/x-test' });
    return [metadata.statusCode, metadata.status, metadata['Content-Type'], metadata.Asked];
  }, ['200', '200 OK', 'text/x-test', 'POST /hello']);
  await checks.equal('the path joins with one slash', async () => (await invoke('get', '', { path: 'hello' })).metadata.Asked, 'GET /hello');
  await checks.equal('a query string may be part of it',
    async () => (await invoke('get', '', { path: '/hello?a=1&b=2' })).metadata.Asked, 'GET /hello?a=1&b=2');
  const methods = { create: 'POST', get: 'GET', head: 'HEAD', post: 'POST', put: 'PUT', patch: 'PATCH', delete: 'DELETE', options: 'OPTIONS' };
  for (const [operation, method] of Object.entries(methods)) {
    await checks.equal(`${operation} is ${method}`, async () => (await invoke(operation)).metadata.Asked, `${method} /hello`);
  }
}

async function payloads(checks, invoke) {
  for (const operation of ['create', 'post', 'put', 'patch']) {
    await checks.equal(`${operation} sends the body, by default as JSON`, async () => {
      const { data, metadata } = await invoke(operation, '{"a":1}');
      return [Buffer.from(data).toString(), metadata['Content-Type']];
    }, ['{"a":1}', JSON_TYPE]);
  }
  for (const operation of ['get', 'head', 'delete', 'options']) {
    await checks.equal(`${operation} sends no body`, async () => (await invoke(operation, 'lost')).data, Buffer.alloc(0));
  }
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  await checks.equal('bytes go and come as they are', async () => (await invoke('post', bytes)).data, bytes);
}

async function headers(checks, invoke) {
  const heard = async (name, metadata) => Buffer.from((await invoke('get', '', { path: `/heard/${name}`, ...metadata })).data).toString();
  await checks.equal('metadata with an upper-case letter becomes a header', () => heard('token', { Token: 'abc' }), 'abc');
  await checks.equal('other metadata does not', () => heard('lower', { lower: 'abc' }), '');
  await checks.equal('the path is no header', () => heard('path', {}), '');
  await checks.equal('the default is to accept JSON', () => heard('accept', {}), JSON_TYPE);
}

async function refusals(checks, invoke, whenTold) {
  const refusal = (sentence, action, message) => checks.refused(sentence, action, status.INTERNAL, message);
  await refusal('an empty operation is refused', () => invoke(''), `${FAILING}operation field is missing from request`);
  await refusal('an unknown binding is named', () => invoke('get', '', {}, 'nosuch'),
    "error when invoke output binding nosuch: couldn't find output binding nosuch");
  await refusal('the operation is looked at before the name', () => invoke('', '', {}, 'nosuch'),
    'error when invoke output binding nosuch: operation field is missing from request');
  await refusal('an operation that is not offered is named', () => invoke('list'),
    beginning(`${FAILING}binding bindings_demo does not support operation list. supported operations:`));
  await refusal('operations are lower case', () => invoke('GET'),
    beginning(`${FAILING}binding bindings_demo does not support operation GET. supported operations:`));
  await refusal('two dots in the path are refused', () => invoke('get', '', { path: '/hello/../x' }), beginning(`${FAILING}invalid path: `));
  await whenTold('a status outside 2xx', () => refusal('a status outside 2xx is an error',
    () => invoke('get', '', { path: '/status/404' }), `${FAILING}received status code 404`));
}
