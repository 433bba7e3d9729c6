// TryLock, Unlock, LockKeepAlive (spec 3.8 to 3.10).
'use strict';

const { status } = require('@grpc/grpc-js');
const { RuntimeTypes } = require('layotto');
const { eventually, sampled } = require('../lib/checks');

const storeName = 'lock_demo';
const { SUCCESS, LOCK_UNEXIST, LOCK_BELONG_TO_OTHERS } = RuntimeTypes.UnlockResponse.Status;
const SEPARATOR = "input key/keyPrefix 'a||b' can't contain '||'";

module.exports = async function lock(session) {
  await ownership(session);
  await expiry(session);
  await keepAlive(session);
  await fencing(session);
  await tryLockRefusals(session);
  await unlockRefusals(session);
};

async function ownership({ checks, client, unique }) {
  const resourceId = unique('resource');
  const [owner, other] = [client.lock.uuid(), client.lock.uuid()];
  const take = lockOwner => client.lock.tryLock({ storeName, resourceId, lockOwner, expire: 100 });
  const release = lockOwner => client.lock.unLock({ storeName, resourceId, lockOwner });
  await checks.holds('uuid gives different names', [owner, other], 'two different UUIDs',
    ([a, b]) => a !== b && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(a));
  await checks.equal('a lock nobody holds does not exist', () => release(owner), { status: LOCK_UNEXIST });
  await checks.equal('a free lock is granted', () => take(owner), true);
  await checks.equal('a held lock is not granted to another', () => take(other), false);
  await checks.equal('nor to its owner again', () => take(owner), false);
  await checks.equal('another cannot unlock it', () => release(other), { status: LOCK_BELONG_TO_OTHERS });
  await checks.equal('its owner unlocks it', () => release(owner), { status: SUCCESS });
  await checks.equal('only once', () => release(owner), { status: LOCK_UNEXIST });
  await checks.equal('then another gets it', () => take(other), true);
  await checks.equal('and unlocks it', () => release(other), { status: SUCCESS });
  await checks.equal('of 20 at once one gets it', async () => {
    const resource = unique('race');
    const race = Array.from({ length: 20 },
      (_, index) => client.lock.tryLock({ storeName, resourceId: resource, lockOwner: `owner ${index}`, expire: 100 }));
    return (await Promise.all(race)).filter(Boolean).length;
  }, 1);
}

async function expiry({ checks, client, unique }) {
  const resourceId = unique('expiry');
  // A stranger's unlock tells whether the lock is there, and changes nothing.
  const exists = async () => (await client.lock.unLock({ storeName, resourceId, lockOwner: 'stranger' })).status !== LOCK_UNEXIST;
  const granted = Date.now();
  await checks.equal('a lock for one second is granted',
    () => client.lock.tryLock({ storeName, resourceId, lockOwner: 'owner', expire: 1 }), true);
  await checks.holds('it stays for that second and then ends', async () => {
    await eventually('the lock ends', async () => !(await exists()));
    return Date.now() - granted;
  }, '950 to 5000 ms', elapsed => elapsed >= 950 && elapsed <= 5000);
  await checks.equal('after expiry there is nothing for its owner to unlock',
    () => client.lock.unLock({ storeName, resourceId, lockOwner: 'owner' }), { status: LOCK_UNEXIST });
  await checks.equal('and another gets it',
    () => client.lock.tryLock({ storeName, resourceId, lockOwner: 'other', expire: 100 }), true);
}

// The client has no method for it; upstream never implemented it (spec 14: fix).
async function keepAlive({ checks, client, call, unique }) {
  const resourceId = unique('keep-alive');
  const Status = RuntimeTypes.LockKeepAliveResponse.Status;
  const extend = async (lockOwner, expire = 100, store = storeName) => {
    const request = new RuntimeTypes.LockKeepAliveRequest();
    request.setStoreName(store);
    request.setResourceId(resourceId);
    request.setLockOwner(lockOwner);
    request.setExpire(expire);
    return (await call('lockKeepAlive', request)).getStatus();
  };
  await checks.equal('a lock nobody holds cannot be kept', () => extend('owner'), Status.LOCK_UNEXIST);
  await client.lock.tryLock({ storeName, resourceId, lockOwner: 'owner', expire: 1 });
  await checks.equal('another cannot keep it', () => extend('other'), Status.LOCK_BELONG_TO_OTHERS);
  await checks.equal('its owner keeps it', () => extend('owner'), Status.SUCCESS);
  await checks.holds('and it outlives its first second',
    () => sampled(2000, () => client.lock.tryLock({ storeName, resourceId, lockOwner: 'other', expire: 100 })),
    'never granted to another', answers => answers.length > 0 && !answers.includes(true));
  await checks.refused('keeping a lock for no time is refused', () => extend('owner', 0),
    status.INVALID_ARGUMENT, `Expire is not positive in lock store ${storeName}`);
  await checks.refused('keeping a lock of an unknown store is refused', () => extend('owner', 1, 'nosuch'),
    status.INVALID_ARGUMENT, 'lock store nosuch not found');
}

// Belay's own: a response header that the client does not show.
async function fencing({ checks, callWithHeader, client, unique }) {
  const resourceId = unique('fencing');
  const grant = async lockOwner => {
    const request = new RuntimeTypes.TryLockRequest();
    request.setStoreName(storeName);
    request.setResourceId(resourceId);
    request.setLockOwner(lockOwner);
    request.setExpire(100);
    const [token] = (await callWithHeader('tryLock', request)).header.get('belay-fencing-token');
    await client.lock.unLock({ storeName, resourceId, lockOwner });
    return token;
  };
  await checks.holds('every grant has a larger decimal fencing token', async () => [await grant('a'), await grant('b'), await grant('a')],
    'three growing decimal numbers',
    tokens => tokens.every(token => /^\d+$/.test(token)) && BigInt(tokens[0]) < BigInt(tokens[1]) && BigInt(tokens[1]) < BigInt(tokens[2]));
}

async function tryLockRefusals({ checks, client, unique }) {
  const tryLock = change => client.lock.tryLock({ storeName, resourceId: unique('r'), lockOwner: 'o', expire: 1, ...change });
  const refusals = [
    ['an empty resource', { resourceId: '' }, status.INVALID_ARGUMENT, `ResourceId is empty in lock store ${storeName}`],
    ['an empty owner', { lockOwner: '' }, status.INVALID_ARGUMENT, `LockOwner is empty in lock store ${storeName}`],
    ['no time', { expire: 0 }, status.INVALID_ARGUMENT, `Expire is not positive in lock store ${storeName}`],
    ['negative time', { expire: -1 }, status.INVALID_ARGUMENT, `Expire is not positive in lock store ${storeName}`],
    ['an unknown store', { storeName: 'nosuch' }, status.INVALID_ARGUMENT, 'lock store nosuch not found'],
    ['an empty owner before an unknown store', { storeName: 'nosuch', lockOwner: '' },
      status.INVALID_ARGUMENT, 'LockOwner is empty in lock store nosuch'],
    ['the separator', { resourceId: 'a||b' }, status.UNKNOWN, SEPARATOR],
  ];
  for (const [what, change, code, message] of refusals) {
    await checks.refused(`tryLock refuses ${what}`, () => tryLock(change), code, message);
  }
}

async function unlockRefusals({ checks, client, unique }) {
  const unLock = change => client.lock.unLock({ storeName, resourceId: unique('r'), lockOwner: 'o', ...change });
  const refusals = [
    ['an empty resource', { resourceId: '' }, status.INVALID_ARGUMENT, `ResourceId is empty in lock store ${storeName}`],
    ['an empty owner', { lockOwner: '' }, status.INVALID_ARGUMENT, `LockOwner is empty in lock store ${storeName}`],
    ['an unknown store', { storeName: 'nosuch' }, status.INVALID_ARGUMENT, 'lock store nosuch not found'],
    ['the separator', { resourceId: 'a||b' }, status.UNKNOWN, SEPARATOR],
  ];
  for (const [what, change, code, message] of refusals) {
    await checks.refused(`unLock refuses ${what}`, () => unLock(change), code, message);
  }
}
