"use strict";

// Found in ../node_modules, because npm links this folder.
const grpc = require("@grpc/grpc-js");

class Server extends grpc.Server {
  /** Takes an address whose port is known: `bindAsync` tells of success or failure too late to return it. */
  bind(address, credentials) {
    this.bindAsync(address, credentials, (error) => {
      if (error) throw error;
    });
    return Number(address.slice(address.lastIndexOf(":") + 1));
  }

  /** `bindAsync` starts the server by itself. */
  start() {}
}

module.exports = { ...grpc, Server };
