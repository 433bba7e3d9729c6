// What the program that starts us tells us.
'use strict';

/** Where the server, the echo app and our own callback server are. */
class Environment {
  /** Reads and checks the variables; an unusable value is an error that names it. */
  static read(variables) {
    const environment = new Environment();
    const address = variables.BELAY_LAYOTTO ?? '127.0.0.1:34904';
    if (address.startsWith('unix:')) environment.socketPath = socketPath('BELAY_LAYOTTO', address);
    else [environment.host, environment.port] = hostAndPort(address);
    const alsoAt = variables.BELAY_LAYOTTO_UDS;
    environment.alsoAtSocket = alsoAt ? socketPath('BELAY_LAYOTTO_UDS', alsoAt) : environment.socketPath;
    environment.appPort = variables.BELAY_APP_PORT ?? '9999';
    environment.httpTarget = variables.BELAY_HTTP_TARGET && httpBase(variables.BELAY_HTTP_TARGET);
    environment.workDirectory = variables.BELAY_WORK_DIR;
    return environment;
  }

  /** The same, with the server's Unix socket instead of its port; undefined if none is known. */
  overSocket() {
    return this.alsoAtSocket && Object.assign(new Environment(), this, { socketPath: this.alsoAtSocket });
  }

  /** The variable's value, or an error that says which variable is missing. */
  require(field, variable) {
    if (!this[field]) throw new Error(`${variable} is not set`);
    return this[field];
  }
}

function socketPath(variable, address) {
  const path = address.replace(/^unix:(\/\/)?/, '');
  if (!path.startsWith('/')) throw new Error(`${variable}: ${address} needs an absolute path`);
  return path;
}

function hostAndPort(address) {
  const parts = /^(.+):(\d+)$/.exec(address);
  if (!parts) throw new Error(`BELAY_LAYOTTO: ${address} is neither host:port nor unix:/path`);
  return parts.slice(1);
}

function httpBase(target) {
  if (/^\d+$/.test(target)) return `http://127.0.0.1:${target}`;
  const url = target.includes('://') ? target : `http://${target}`;
  return url.replace(/\/+$/, '');
}

module.exports = { Environment };
