// Lifecycle.ApplyConfiguration (spec 5), by the generated stub: the client has no method for it.
'use strict';

const { status } = require('@grpc/grpc-js');
const { ComponentConfig, DynamicConfiguration } = require('layotto/proto/runtime/v1/lifecycle_pb');

module.exports = async function lifecycle(session) {
  const { checks, client } = session;
  const apply = (kind, name, metadata) => session.call('applyConfiguration', dynamic(kind, name, metadata), session.lifecycle);
  try {
    await checks.succeeds('a new greeting is accepted', () => apply('hellos', 'helloworld', { hello: 'goodbye' }));
    await checks.equal('it is used at once', () => client.hello.sayHello({ name: 'eva' }), 'goodbye, eva');
    await checks.succeeds('other keys are accepted', () => apply('hellos', 'helloworld', { other: 'x' }));
    await checks.equal('other keys change nothing', () => client.hello.sayHello({ name: 'eva' }), 'goodbye, eva');
  } finally {
    await checks.succeeds('the old greeting is accepted again', () => apply('hellos', 'helloworld', { hello: 'greeting' }));
  }
  await refusals(session, apply);
};

async function refusals({ checks, call, lifecycle }, apply) {
  await checks.refused('no component is refused',
    () => call('applyConfiguration', new DynamicConfiguration(), lifecycle), status.INVALID_ARGUMENT, 'field kind is not configured');
  await checks.refused('no kind is refused',
    () => apply('', 'helloworld', { hello: 'x' }), status.INVALID_ARGUMENT, 'field kind is not configured');
  await checks.refused('no name is refused',
    () => apply('hellos', '', { hello: 'x' }), status.INVALID_ARGUMENT, 'field name is not configured');
  await checks.refused('no metadata is refused',
    () => apply('hellos', 'helloworld', {}), status.INVALID_ARGUMENT, 'field metadata is not configured');
  await checks.refused('an unknown component is refused',
    () => apply('hellos', 'nosuch', { hello: 'x' }), status.INVALID_ARGUMENT, 'component not found. kind: hellos , name: nosuch');
}

function dynamic(kind, name, metadata) {
  const component = new ComponentConfig();
  component.setKind(kind);
  component.setName(name);
  for (const [key, value] of Object.entries(metadata)) component.getMetadataMap().set(key, value);
  const request = new DynamicConfiguration();
  request.setComponentConfig(component);
  return request;
}
