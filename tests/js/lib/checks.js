// One line per check: `ok - sentence` or `not ok - sentence: expected X, got Y`.
'use strict';

const { inspect, isDeepStrictEqual } = require('node:util');
const { status } = require('@grpc/grpc-js');

/** No wait is longer than this. */
const DEADLINE_MS = 10_000;
/** Shorter, so that the error which says what was waited for comes first. */
const EVENTUALLY_MS = 9_000;
const POLL_MS = 25;
const SHOWN_MAX = 400;

class Checks {
  constructor(scenario) {
    this.scenario = scenario;
    this.ran = 0;
    this.failed = 0;
  }

  /** `actual` (a value, a promise or a function) must equal `expected`, deeply; bytes of any array type are alike. */
  async equal(sentence, actual, expected) {
    await this.observe(sentence, actual, shown(expected), value => isDeepStrictEqual(plain(value), plain(expected)));
  }

  /** `actual` must satisfy `predicate`; `expected` says in words what that means. */
  async holds(sentence, actual, expected, predicate) {
    await this.observe(sentence, actual, expected, predicate);
  }

  /** `action` must be refused with this gRPC code, and with this message (text: all of it; pattern: matches). */
  async refused(sentence, action, code, message) {
    const expected = `${status[code]} ${message instanceof RegExp ? message : JSON.stringify(message)}`;
    try {
      const value = await within(action);
      this.report(sentence, false, expected, `no error but ${shown(value)}`);
    } catch (error) {
      const same = message instanceof RegExp ? message.test(error.details) : error.details === message;
      this.report(sentence, error.code === code && same, expected, shownError(error));
    }
  }

  /** `action` must come back without an error. */
  async succeeds(sentence, action) {
    await this.observe(sentence, action, 'no error', () => true);
  }

  /** Says what could not be checked, and why. */
  skipped(what, reason) {
    console.log(`# not checked - ${this.scenario}: ${what}: ${reason}`);
  }

  /** A scenario that stops half-way is a failure, whatever its checks said. */
  crashed(error) {
    this.report('the scenario runs to its end', false, 'no error', shownError(error));
  }

  async observe(sentence, actual, expected, predicate) {
    try {
      const value = await within(actual);
      this.report(sentence, predicate(value), expected, shown(value));
    } catch (error) {
      this.report(sentence, false, expected, shownError(error));
    }
  }

  report(sentence, passed, expected, got) {
    this.ran += 1;
    if (!passed) this.failed += 1;
    const line = `${this.scenario}: ${sentence}`;
    console.log(passed ? `ok - ${line}` : `not ok - ${line}: expected ${expected}, got ${got}`);
  }
}

/** Waits for a value, a promise or a function's result, at most DEADLINE_MS. */
async function within(source) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
  try {
    return await Promise.race([typeof source === 'function' ? source() : source, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again and again until `condition` gives something truthy, and returns that; an error after EVENTUALLY_MS. */
async function eventually(what, condition) {
  const end = Date.now() + EVENTUALLY_MS;
  for (;;) {
    const value = await within(condition);
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${EVENTUALLY_MS} ms: ${what}`);
    await pause();
  }
}

/** Asks again and again for `duration` and returns all answers. */
async function sampled(duration, question) {
  const answers = [];
  for (const end = Date.now() + duration; Date.now() < end;) {
    answers.push(await within(question));
    await pause();
  }
  return answers;
}

/** A pattern for messages that begin with `text`; for those whose end the server may choose. */
function beginning(text) {
  return new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`);
}

function pause() {
  return new Promise(resolve => setTimeout(resolve, POLL_MS));
}

/** Byte arrays of every kind become Buffers, so that only the bytes are compared. */
function plain(value) {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}

function shown(value) {
  const text = value instanceof Uint8Array
    ? `${value.length} bytes ${JSON.stringify(Buffer.from(value).toString('latin1').slice(0, SHOWN_MAX))}`
    : inspect(value, { breakLength: Infinity, depth: 6, maxStringLength: SHOWN_MAX });
  return text.replaceAll('\n', ' ').slice(0, SHOWN_MAX);
}

function shownError(error) {
  if (typeof error?.code === 'number') return `${status[error.code] ?? error.code} ${JSON.stringify(error.details)}`;
  return String(error?.message ?? error).replaceAll('\n', ' ').slice(0, SHOWN_MAX);
}

module.exports = { Checks, beginning, eventually, sampled, within };
