// The same calls through the front door by each published client: `node clients.js http://127.0.0.1:9000`. A line for each
// check, `ok ...` or `bad ...`; exit code 1 after a bad one. The user function is the one in ../go.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport, createGrpcWebTransport as onHttp2 } from '@connectrpc/connect-node';
import { createGrpcWebTransport as onFetch } from '@connectrpc/connect-web';
import grpc from '@grpc/grpc-js';
import grpcWeb from 'grpc-web';
import xhr2 from 'xhr2';

const CART = 'com.example.shoppingcart.ShoppingCart';
const NUMBERS = 'com.example.numbers.Numbers';

const address = process.argv[2];
const bytes = readFileSync(new URL('../js/user-function.desc', import.meta.url));
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
globalThis.XMLHttpRequest = xhr2.XMLHttpRequest;

let bad = 0;
async function check(sentence, run) {
  try {
    await run();
    console.log(`ok ${sentence}`);
  } catch (cause) {
    bad += 1;
    console.log(`bad ${sentence}: ${String(cause?.stack ?? cause).replaceAll('\n', ' ')}`);
  }
}

/** What every client can: `unary` and `stream` take the method's descriptor and plain fields; a failure is {code, message}. */
function connect(transport) {
  const clients = new Map();
  const client = (method) => {
    const name = method.parent.typeName;
    if (!clients.has(name)) clients.set(name, createClient(method.parent, transport));
    return clients.get(name);
  };
  const told = (cause) => {
    const error = ConnectError.from(cause);
    return { code: error.code, message: error.rawMessage };
  };
  return {
    unary: (method, fields) => client(method)[method.localName](fields).catch((cause) => { throw told(cause); }),
    async stream(method, fields) {
      const heard = [];
      for await (const message of client(method)[method.localName](fields)) heard.push(message);
      return heard;
    },
  };
}

function googles(format) {
  const client = new grpcWeb.GrpcWebClientBase({ format });
  const descriptor = (method, kind) =>
    new grpcWeb.MethodDescriptor(
      `/${method.parent.typeName}/${method.name}`,
      kind,
      Object,
      Object,
      (message) => toBinary(method.input, message),
      (bytes) => fromBinary(method.output, bytes),
    );
  const path = (method) => `${address}/${method.parent.typeName}/${method.name}`;
  return {
    unary: (method, fields) =>
      new Promise((resolve, reject) => {
        const request = create(method.input, fields);
        client.rpcCall(path(method), request, {}, descriptor(method, grpcWeb.MethodType.UNARY), (error, answer) =>
          error ? reject({ code: error.code, message: error.message }) : resolve(answer),
        );
      }),
    stream: (method, fields) =>
      new Promise((resolve, reject) => {
        const heard = [];
        const kind = grpcWeb.MethodType.SERVER_STREAMING;
        const stream = client.serverStreaming(path(method), create(method.input, fields), {}, descriptor(method, kind));
        stream.on('data', (message) => heard.push(message));
        stream.on('error', reject);
        stream.on('end', () => resolve(heard));
      }),
  };
}

const GZIP = 2;

function compressed() {
  const options = { 'grpc.default_compression_algorithm': GZIP };
  const client = new grpc.Client(new URL(address).host, grpc.credentials.createInsecure(), options);
  const path = (method) => `/${method.parent.typeName}/${method.name}`;
  const write = (method) => (message) => Buffer.from(toBinary(method.input, message));
  const read = (method) => (bytes) => fromBinary(method.output, bytes);
  return {
    unary: (method, fields) =>
      new Promise((resolve, reject) => {
        const request = create(method.input, fields);
        client.makeUnaryRequest(path(method), write(method), read(method), request, (error, answer) =>
          error ? reject({ code: error.code, message: error.details }) : resolve(answer),
        );
      }),
    stream: (method, fields) =>
      new Promise((resolve, reject) => {
        const heard = [];
        const request = create(method.input, fields);
        const stream = client.makeServerStreamRequest(path(method), write(method), read(method), request);
        stream.on('data', (message) => heard.push(message));
        stream.on('error', reject);
        stream.on('end', () => resolve(heard));
      }),
    close: () => client.close(),
  };
}

const clients = {
  'connect-web, binary, HTTP/1.1': connect(onFetch({ baseUrl: address })),
  'connect-node, gRPC-Web, HTTP/2': connect(onHttp2({ baseUrl: address, httpVersion: '2' })),
  'connect-node, gRPC': connect(createGrpcTransport({ baseUrl: address })),
  'grpc-web, text': googles('text'),
  'grpc-web, binary': googles('binary'),
  'grpc-js, gzip': compressed(),
};
const cart = registry.getService(CART).method;
const numbers = registry.getService(NUMBERS).method;
let number = 0;

for (const [name, client] of Object.entries(clients)) {
  const userId = `client-${(number += 1)}`;
  // Long enough for a client that compresses, and not only one byte for each character.
  const title = 'thé à la menthe '.repeat(500);
  await check(`${name}: commands, and what they leave`, async () => {
    for (const productId of ['tea', 'milk', 'tea'])
      await client.unary(cart.addItem, { userId, productId, name: title, quantity: 2 });
    const { items } = await client.unary(cart.getCart, { userId });
    const lines = items.map(({ productId, name, quantity }) => [productId, name, quantity]);
    assert.deepEqual(lines, [['tea', title, 4], ['milk', title, 2]]);
  });
  await check(`${name}: a failure has its code and its text`, async () => {
    const failure = client.unary(cart.removeItem, { userId, productId: 'café' });
    await assert.rejects(failure, { code: Code.Unknown, message: 'café is not in the cart' });
  });
  await check(`${name}: an action, and one that streams`, async () => {
    assert.equal((await client.unary(numbers.double, { value: 21n })).value, 42n);
    const heard = await client.stream(numbers.count, { value: 300n });
    assert.deepEqual(heard.map(({ value }) => value), Array.from({ length: 300 }, (_, index) => BigInt(index + 1)));
  });
  client.close?.();
}
process.exit(bad === 0 ? 0 : 1);
