// The services of ../README.md: `node services.js PACKAGE http|http2 PORT FILE`.

import { appendFileSync, readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

const [name, protocol, port, file] = process.argv.slice(2);
const { createServer } = await import(`node:${protocol}`);
const restate = await import(name);

// With SDKs of 2024, a promise that is rejected before its handler comes to wait for it would end Node.
process.on("unhandledRejection", (reason) => console.warn("rejected before it was waited for:", reason));

const note = (key, what) => appendFileSync(file, `${key} ${what}\n`);
const noted = (key, what) =>
  readFileSync(file, "utf8").split("\n").filter((line) => line === `${key} ${what}`).length;

const third = (key) => {
  note(key, "attempt");
  const attempt = noted(key, "attempt");
  if (attempt < 3) throw new Error(`attempt ${attempt} fails`);
  return attempt;
};

const nap = async (ctx, { key, ms }) => {
  note(key, "attempt");
  await ctx.run("before", () => note(key, "before"));
  await ctx.sleep(ms);
  await ctx.run("after", () => note(key, "after"));
  return "slept";
};

const awakeable = async (ctx, key) => {
  note(key, "attempt");
  const { id, promise } = ctx.awakeable();
  await ctx.run("tell", () => note(key, `id ${id}`));
  return await promise;
};

const greeter = restate.service({
  name: "Greeter",
  handlers: {
    greet: async (_, name) => `Hello ${name}`,
    three: async (ctx, key) => {
      let sum = 0;
      for (const [index, step] of ["one", "two", "three"].entries()) {
        sum += await ctx.run(step, () => {
          note(key, step);
          return index + 1;
        });
      }
      return sum;
    },
    chain: async (ctx, name) => await ctx.serviceClient(greeter).greet(name),
    chainNap: async (ctx, request) => await ctx.serviceClient(greeter).nap(request),
    oneWay: async (ctx, key) => {
      ctx.objectSendClient(counter, key).add(1);
    },
    later: async (ctx, { key, ms }) => {
      ctx.objectSendClient(counter, key).add(1, restate.rpc.sendOpts({ delay: ms }));
    },
    nap,
    slow: async (ctx, { key, ms }) => {
      await ctx.run("one", () => note(key, "one"));
      await ctx.run("slow", async () => {
        note(key, "slow");
        await wait(ms);
      });
      await ctx.run("three", () => note(key, "three"));
      return "done";
    },
    fail: async (_, message) => {
      throw new restate.TerminalError(message, { errorCode: 418 });
    },
    flaky: async (_, key) => third(key),
    flakyRun: async (ctx, key) => await ctx.run("third", () => third(key), { initialRetryInterval: 50 }),
    awakeable,
    resolve: async (ctx, { id, value }) => ctx.resolveAwakeable(id, value),
    reject: async (ctx, { id, value }) => ctx.rejectAwakeable(id, value),
  },
});

const idle = restate.service({
  name: "Idle",
  handlers: { nap, awakeable },
  options: { inactivityTimeout: 100 },
});

const { shared } = restate.handlers.object;
const get = async (ctx) => (await ctx.get("count")) ?? 0;

const counter = restate.object({
  name: "Counter",
  handlers: {
    add: async (ctx, n) => {
      const count = ((await ctx.get("count")) ?? 0) + n;
      ctx.set("count", count);
      ctx.set("last", n);
      return count;
    },
    get: shared(get),
    lazy: shared({ enableLazyState: true }, get),
    keys: shared(async (ctx) => (await ctx.stateKeys()).sort()),
    clear: async (ctx) => ctx.clear("last"),
    reset: async (ctx) => ctx.clearAll(),
  },
});

const workflow = restate.workflow({
  name: "Wf",
  handlers: {
    run: async (ctx, input) => `${input}:${await ctx.promise("go")}`,
    finish: async (ctx, value) => await ctx.promise("go").resolve(value),
    refuse: async (ctx, reason) => await ctx.promise("go").reject(reason),
    peek: async (ctx) => (await ctx.promise("go").peek()) ?? "-",
  },
});

const services = [greeter, idle, counter, workflow];
const identityKeys = process.env.IDENTITY_KEYS?.split(",");
// SDKs of 2024 know the second way only.
const handler =
  restate.createEndpointHandler?.({ services, identityKeys }) ??
  services.reduce((endpoint, service) => endpoint.bind(service), restate.endpoint()).http2Handler();
createServer(handler).listen(Number(port), "127.0.0.1");
