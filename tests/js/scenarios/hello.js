// SayHello (spec 3.1).
'use strict';

const { status } = require('@grpc/grpc-js');
const { Any } = require('google-protobuf/google/protobuf/any_pb');
const { RuntimeTypes } = require('layotto');

module.exports = async function hello(session) {
  const { checks, client } = session;
  await checks.equal('without a name the greeting comes back', () => client.hello.sayHello(), 'greeting');
  await checks.equal('with a name it is appended', () => client.hello.sayHello({ name: 'eva' }), 'greeting, eva');
  await checks.equal('the service name may be given',
    () => client.hello.sayHello({ serviceName: 'helloworld', name: 'eva' }), 'greeting, eva');
  await checks.equal('any metadata is tolerated',
    () => client.hello.sayHello({ name: 'eva', requestMeta: { 'x-anything': 'yes' } }), 'greeting, eva');
  await checks.refused('an unknown service is refused',
    () => client.hello.sayHello({ serviceName: 'nosuch' }), status.UNKNOWN, 'no instance found');
  await dataComesBack(session);
};

// The client has no field for `data`.
async function dataComesBack({ checks, call }) {
  const request = new RuntimeTypes.SayHelloRequest();
  request.setServiceName('helloworld');
  const data = new Any();
  data.setTypeUrl('example.com/anything');
  data.setValue(Buffer.from([0, 1, 254, 255]));
  request.setData(data);
  await checks.equal('data comes back unchanged', async () => (await call('sayHello', request)).getData().toObject(), data.toObject());
  request.clearData();
  await checks.equal('absent data stays absent', async () => (await call('sayHello', request)).hasData(), false);
}
