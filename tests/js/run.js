// End-to-end checks of a Layotto-compatible sidecar through the unmodified npm package `layotto`.
//
//   node run.js list          the scenarios, one per line
//   node run.js SCENARIO...   runs them; `all` runs every one that the addresses permit
//
// The environment is described in README.md. Exit code 0 only if at least one check ran and none failed.
'use strict';

// A proxy of the machine has no business between two programs on it.
process.env.no_grpc_proxy ??= '127.0.0.1,localhost';

const { Checks } = require('./lib/checks');
const { Environment } = require('./lib/environment');
const { Session } = require('./lib/session');

const SCENARIOS = {
  hello: require('./scenarios/hello'),
  lifecycle: require('./scenarios/lifecycle'),
  state: require('./scenarios/state'),
  'state-bulk': require('./scenarios/state-bulk'),
  'state-transaction': require('./scenarios/state-transaction'),
  lock: require('./scenarios/lock'),
  sequencer: require('./scenarios/sequencer'),
  configuration: require('./scenarios/configuration'),
  pubsub: require('./scenarios/pubsub'),
  file: require('./scenarios/file'),
  binding: require('./scenarios/binding'),
  secret: require('./scenarios/secret'),
  invoke: require('./scenarios/invoke'),
  uds: require('./scenarios/uds'),
};

function chosen(names, environment) {
  if (!names.includes('all')) return names;
  if (environment.overSocket()) return Object.keys(SCENARIOS);
  console.log('# not checked - uds: neither BELAY_LAYOTTO nor BELAY_LAYOTTO_UDS is a Unix socket');
  return Object.keys(SCENARIOS).filter(name => name !== 'uds');
}

async function runScenario(name, environment) {
  const checks = new Checks(name);
  let session;
  try {
    session = new Session(environmentOf(name, environment), checks);
    await SCENARIOS[name](session);
  } catch (error) {
    checks.crashed(error);
  } finally {
    session?.close();
  }
  return checks;
}

function environmentOf(name, environment) {
  if (name !== 'uds') return environment;
  const overSocket = environment.overSocket();
  if (!overSocket) throw new Error('neither BELAY_LAYOTTO nor BELAY_LAYOTTO_UDS is a Unix socket');
  return overSocket;
}

async function main(names) {
  if (names.length === 1 && names[0] === 'list') {
    console.log(Object.keys(SCENARIOS).join('\n'));
    return 0;
  }
  const unknown = names.filter(name => name !== 'all' && !(name in SCENARIOS));
  if (names.length === 0 || unknown.length > 0) {
    console.error(`usage: node run.js list | all | SCENARIO...   (unknown: ${unknown.join(' ') || 'nothing given'})`);
    return 2;
  }
  const environment = Environment.read(process.env);
  let ran = 0;
  let failed = 0;
  for (const name of chosen(names, environment)) {
    const checks = await runScenario(name, environment);
    ran += checks.ran;
    failed += checks.failed;
  }
  console.log(`# ${ran} checks, ${failed} failed`);
  return ran > 0 && failed === 0 ? 0 : 1;
}

// A fault outside any check must neither pass unseen nor stop the checks that are left.
let strayFaults = 0;
process.on('unhandledRejection', reason => {
  strayFaults += 1;
  console.log(`not ok - no fault outside the checks: expected none, got ${String(reason?.stack ?? reason).replaceAll('\n', ' | ')}`);
});

main(process.argv.slice(2)).then(
  // Explicit, because a half-open connection would keep Node alive.
  code => process.exit(strayFaults > 0 ? 1 : code),
  error => {
    console.error(error.message);
    process.exit(2);
  },
);
