// The HTTP echo app behind the server (README.md, "The echo app"), asked past the server.
'use strict';

const http = require('node:http');
const { text } = require('node:stream/consumers');

async function ask(base, path, { method = 'GET', headers = {}, body } = {}) {
  const request = http.request(`${base}${path}`, { method, headers, agent: false });
  const answered = new Promise((resolve, reject) => request.on('response', resolve).on('error', reject));
  request.end(body);
  const response = await answered;
  const { asked, 'content-type': contentType } = response.headers;
  return { status: response.statusCode, asked, contentType, body: await text(response) };
}

/**
 * Checks that the echo app keeps to its contract: else the server would be blamed for nothing. Gives `whenTold`, which
 * runs checks that need an app with `/heard`, `/asked` and `/status`, and says so where the app has none.
 */
async function checkEcho({ checks, environment }) {
  const base = environment.require('httpTarget', 'BELAY_HTTP_TARGET');
  await checks.equal('the echo app keeps to its contract',
    () => ask(base, '/hello?a=1', { method: 'POST', headers: { 'content-type': 'text/x-test' }, body: 'three' }),
    { status: 200, asked: 'POST /hello?a=1', contentType: 'text/x-test', body: 'three' });
  const told = await Promise.all([
    ask(base, '/heard/x-one', { headers: { 'X-One': 'two' } }),
    ask(base, '/asked', { method: 'PUT' }),
    ask(base, '/status/404'),
  ]);
  const tells = told.map(({ status, body }) => `${status} ${body}`).join() === '200 two,200 PUT /asked,404 no such thing';
  return async (what, check) => {
    if (tells) await check();
    else checks.skipped(what, 'the echo app has no /heard, /asked and /status');
  };
}

module.exports = { checkEcho };
