// PutFile, GetFile, ListFile, DelFile, GetFileMeta on a local store (spec 3.21 to 3.25).
//
// The client's `put` comes back when the last byte is sent, not when the server has answered, and it hides the server's
// reason. So what was put is waited for, and the reasons are asked for with the generated stub.
'use strict';

const { randomBytes } = require('node:crypto');
const { mkdir, stat, writeFile } = require('node:fs/promises');
const { createReadStream } = require('node:fs');
const { join } = require('node:path');
const { buffer } = require('node:stream/consumers');
const { status } = require('@grpc/grpc-js');
const { RuntimeTypes } = require('layotto');
const { beginning, eventually } = require('../lib/checks');

const storeName = 'file_demo';
/** 420 is 0644; 578 is create, truncate, read and write; 66 is the same without truncate. */
const REPLACE = { FileMode: '420', FileFlag: '578' };
const KEEP_TAIL = { FileMode: '420', FileFlag: '66' };
const GO_TIME = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} \S+$/;

module.exports = async function file(session) {
  const { environment, unique } = session;
  const directory = environment.require('workDirectory', 'BELAY_WORK_DIR');
  const path = name => join(directory, unique(name));
  await contents(session, path);
  await flags(session, path);
  await listing(session, path);
  await deletion(session, path);
  await metadata(session, path);
  await putRefusals(session, path);
  await refusals(session, path);
};

const read = async (client, name) => buffer(await client.file.get({ storeName, name }));

/** Waits until the file holds exactly `expected`, and returns what it holds. */
async function arrived(client, name, expected) {
  return eventually(`${expected.length} bytes arrive`, async () => {
    const found = await read(client, name).catch(error => (error.code === status.INTERNAL ? undefined : Promise.reject(error)));
    return found?.equals(expected) && found;
  });
}

async function contents({ checks, client }, path) {
  const roundTrip = (sentence, name, data) => checks.equal(sentence, async () => {
    await client.file.put({ storeName, name: path(name), data, metadata: REPLACE });
    return arrived(client, path(name), data);
  }, data);
  await roundTrip('text comes back', 'text', Buffer.from('hello layotto, grüß dich'));
  await roundTrip('a file larger than one message comes back', 'large', randomBytes(1024 * 1024 + 1));
  await roundTrip('an empty file comes back empty', 'empty', Buffer.alloc(0));
  await checks.equal('a stream is put chunk by chunk', async () => {
    const data = randomBytes(700_001);
    await writeFile(path('source'), data);
    await client.file.put({ storeName, name: path('streamed'), stream: createReadStream(path('source')), metadata: REPLACE });
    return (await arrived(client, path('streamed'), data)).equals(data);
  }, true);
  await checks.holds('no message of a read is larger than 102400 bytes', async () => {
    const sizes = [];
    for await (const chunk of await client.file.get({ storeName, name: path('large'), metadata: { any: 'thing' } })) sizes.push(chunk.length);
    return sizes;
  }, 'chunks of 1 to 102400 bytes, 1048577 in all',
  sizes => sizes.every(size => size >= 1 && size <= 102_400) && sizes.reduce((sum, size) => sum + size, 0) === 1024 * 1024 + 1);
}

async function flags({ checks, client }, path) {
  const put = (name, text, how) => client.file.put({ storeName, name: path(name), data: Buffer.from(text), metadata: how });
  await put('flags', 'a long content', REPLACE);
  await arrived(client, path('flags'), Buffer.from('a long content'));
  await checks.equal('FileFlag 66 keeps the tail of the old file', async () => {
    await put('flags', 'THE', KEEP_TAIL);
    return arrived(client, path('flags'), Buffer.from('THEong content'));
  }, Buffer.from('THEong content'));
  await checks.equal('FileFlag 578 truncates', async () => {
    await put('flags', 'short', REPLACE);
    return arrived(client, path('flags'), Buffer.from('short'));
  }, Buffer.from('short'));
  await checks.holds('FileMode is decimal, a leading zero changes nothing', async () => {
    await put('mode', 'x', { FileMode: '0420', FileFlag: '578' });
    await arrived(client, path('mode'), Buffer.from('x'));
    return (await stat(path('mode'))).mode & 0o777;
  }, 'the bits of 0644 less the umask', bits => (bits & 0o600) === 0o600 && (bits & ~0o644) === 0);
}

async function listing({ checks, client }, path) {
  const directory = path('directory');
  await mkdir(join(directory, 'c-inner'), { recursive: true });
  await writeFile(join(directory, 'c-inner', 'deep'), 'x');
  for (const name of ['b', 'a', 'd']) await writeFile(join(directory, name), name);
  await checks.equal('a directory is listed by name, one level deep, directories included',
    () => client.file.list({ storeName, name: directory, metadata: { any: 'thing' } }), { names: ['a', 'b', 'c-inner', 'd'] });
  await mkdir(path('bare'));
  await checks.equal('an empty directory has no names', () => client.file.list({ storeName, name: path('bare') }), { names: [] });
}

async function deletion({ checks, client }, path) {
  const name = path('deleted');
  await writeFile(name, 'x');
  await checks.refused('a deleted file is gone', async () => {
    await client.file.delete({ storeName, name });
    return read(client, name);
  }, status.INTERNAL, `get file fail,err: open ${name}: no such file or directory`);
  await checks.refused('deleting it again is an error', () => client.file.delete({ storeName, name }),
    status.INTERNAL, `remove ${name}: no such file or directory`);
}

// The client has no method for it.
async function metadata({ checks, call }, path) {
  const meta = async (name, store = storeName) => {
    const request = new RuntimeTypes.GetFileMetaRequest();
    request.setRequest(fileRequest(store, name));
    return call('getFileMeta', request);
  };
  const name = path('meta');
  await writeFile(name, 'twelve bytes');
  await checks.equal('metadata has size, time, mode and kind', async () => {
    const answer = await meta(name);
    const values = Object.fromEntries([...answer.getResponse().getMetadataMap().entries()].map(([key, value]) => [key, value.getValueList()]));
    return [`${answer.getSize()}`, GO_TIME.test(answer.getLastModified()) || answer.getLastModified(), values];
  }, ['12', true, { FileMode: [`${(await stat(name)).mode & 0o777}`], IsDir: ['false'] }]);
  await checks.refused('metadata of a missing file is not found', () => meta(path('missing')), status.NOT_FOUND, 'file does not exist');
  await checks.refused('metadata of an unknown store is refused', () => meta(name, 'nosuch'),
    status.INVALID_ARGUMENT, 'not support store type: nosuch');
  await checks.refused('metadata of nothing is refused',
    () => call('getFileMeta', new RuntimeTypes.GetFileMetaRequest()), status.INVALID_ARGUMENT, "request can't be nil");
}

async function putRefusals({ checks, client, stub }, path) {
  // As other SDKs do it: everything but the data first, then only data.
  const put = (name, how, store = storeName) => new Promise((resolve, reject) => {
    const call = stub.putFile((error, response) => (error ? reject(error) : resolve(response)));
    call.on('error', () => {});
    const request = new RuntimeTypes.PutFileRequest();
    request.setStoreName(store);
    request.setName(name);
    for (const [key, value] of Object.entries(how)) request.getMetadataMap().set(key, value);
    call.write(request);
    const chunk = new RuntimeTypes.PutFileRequest();
    chunk.setData(Buffer.from('data only'));
    call.end(chunk);
  });
  await checks.equal('only the first message names the file', async () => {
    await put(path('parts'), REPLACE);
    return read(client, path('parts'));
  }, Buffer.from('data only'));
  const refusals = [
    ['without FileMode', { FileFlag: '578' }, 'fileMode is required for put file'],
    ['without FileFlag', { FileMode: '420' }, 'fileFlag is required for put file'],
    ['without both', {}, 'fileMode is required for put file'],
    ['with a FileMode that is no number', { FileMode: 'rw', FileFlag: '578' }, beginning('wrong fileMode value:')],
    ['with a FileFlag that is no number', { FileMode: '420', FileFlag: 'x' }, beginning('wrong fileFlag value:')],
  ];
  for (const [how, given, message] of refusals) {
    await checks.refused(`put is refused ${how}`, () => put(path('refused'), given), status.INTERNAL, message);
  }
  await checks.refused('put names an unknown store', () => put(path('refused'), REPLACE, 'nosuch'),
    status.INVALID_ARGUMENT, 'not support store type: nosuch');
  // Whether the client notices depends on which side is faster, so that it ends at all is what counts.
  await checks.succeeds("the client's own put ends when it is refused",
    () => client.file.put({ storeName, name: path('refused'), data: Buffer.from('x'), metadata: {} }).catch(() => {}));
  await checks.refused('a refused put leaves no file', () => read(client, path('refused')),
    status.INTERNAL, `get file fail,err: open ${path('refused')}: no such file or directory`);
}

async function refusals({ checks, client, call }, path) {
  const wrongStore = 'not support store type: nosuch';
  await checks.refused('get names an unknown store', async () => buffer(await client.file.get({ storeName: 'nosuch', name: 'x' })),
    status.INVALID_ARGUMENT, 'not supported store type: nosuch');
  await checks.refused('list names an unknown store', () => client.file.list({ storeName: 'nosuch', name: 'x' }),
    status.INVALID_ARGUMENT, wrongStore);
  await checks.refused('delete names an unknown store', () => client.file.delete({ storeName: 'nosuch', name: 'x' }),
    status.INVALID_ARGUMENT, wrongStore);
  await checks.refused('a list of nothing is refused',
    () => call('listFile', new RuntimeTypes.ListFileRequest()), status.INVALID_ARGUMENT, "request can't be nil");
  await checks.refused('a delete of nothing is refused',
    () => call('delFile', new RuntimeTypes.DelFileRequest()), status.INVALID_ARGUMENT, "request can't be nil");
  await mkdir(path('is-a-directory'));
  await checks.refused('reading a directory is an error', () => read(client, path('is-a-directory')),
    status.INTERNAL, `get file fail,err: read ${path('is-a-directory')}: is a directory`);
}

function fileRequest(store, name) {
  const request = new RuntimeTypes.FileRequest();
  request.setStoreName(store);
  request.setName(name);
  return request;
}
