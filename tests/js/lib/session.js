// One scenario's client, and the generated stub of the same package for what the client has no method for.
'use strict';

const { randomBytes } = require('node:crypto');
const { credentials } = require('@grpc/grpc-js');
const { Client } = require('layotto');
const { RuntimeClient } = require('layotto/proto/runtime/v1/runtime_grpc_pb');
const { LifecycleClient } = require('layotto/proto/runtime/v1/lifecycle_grpc_pb');

/** Different in every run, so that what an earlier run left behind is never met. */
const RUN = `js${Date.now().toString(36)}${randomBytes(3).toString('hex')}`;

class Session {
  constructor(environment, checks) {
    this.environment = environment;
    this.checks = checks;
    this.run = RUN;
    this.opened = [];
    this.client = this.connect();
    const target = environment.socketPath ? `unix://${environment.socketPath}` : `${environment.host}:${environment.port}`;
    this.stub = this.keep(new RuntimeClient(target, credentials.createInsecure()));
    this.lifecycle = this.keep(new LifecycleClient(target, credentials.createInsecure()));
  }

  /** Another SDK client of the same server. */
  connect = options => {
    const { socketPath, host, port } = this.environment;
    const client = socketPath ? new Client(undefined, `unix://${socketPath}`, options) : new Client(port, host, options);
    return this.keep(client);
  };

  /** A name that nobody has used before. */
  unique = name => `${RUN}-${this.checks.scenario}-${name}`;

  /** Calls a unary method of the generated stub; gives the response message. */
  call = (method, request, stub = this.stub) => new Promise((resolve, reject) => {
    stub[method](request, (error, response) => (error ? reject(error) : resolve(response)));
  });

  /** Calls a unary method of the generated stub; gives the response message and its header metadata. */
  callWithHeader = (method, request) => new Promise((resolve, reject) => {
    let header;
    const call = this.stub[method](request, (error, response) => (error ? reject(error) : resolve({ response, header })));
    call.on('metadata', metadata => { header = metadata; });
  });

  keep(closable) {
    this.opened.push(closable);
    return closable;
  }

  close() {
    for (const closable of this.opened) closable.close();
  }
}

module.exports = { Session };
