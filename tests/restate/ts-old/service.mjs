// One program for both old TypeScript SDKs: run it with the SDK's folder and a port.
//
//     node service.mjs 1.4.0 9080
//
// The SDK of that version is taken from ./VERSION/node_modules: `npm install --prefix VERSION @restatedev/restate-sdk@VERSION`.

import { createRequire } from "node:module";

const [version = "1.4.0", port = "9080"] = process.argv.slice(2);
const require = createRequire(new URL(`./${version}/node_modules/`, import.meta.url));
const restate = require("@restatedev/restate-sdk");

/** How often each step's function was run, to see that it is not run again. */
const ran = {};
const step = (ctx, name, value) =>
  ctx.run(name, () => {
    ran[name] = (ran[name] ?? 0) + 1;
    return value;
  });

const greeter = restate.service({
  name: "Greeter",
  handlers: {
    greet: async (ctx, name) => `Hello ${name}`,
    runs: async (ctx, id) => {
      const a = await step(ctx, `${id}-1`, 1);
      const b = await step(ctx, `${id}-2`, 2);
      const c = await step(ctx, `${id}-3`, 3);
      return [a, b, c];
    },
    nothing: async (ctx) => {
      await ctx.run("nothing", () => {});
      return "done";
    },
    ran: async (ctx, name) => ran[name] ?? 0,
    chain: async (ctx, depth) =>
      depth === 0 ? 0 : 1 + (await ctx.serviceClient(greeter).chain(depth - 1)),
    sleep: async (ctx, millis) => {
      await ctx.sleep(millis);
      return "slept";
    },
    wait: async (ctx, key) => {
      const { id, promise } = ctx.awakeable();
      ctx.objectSendClient(box, key).put(id);
      return await promise;
    },
    resolve: async (ctx, { id, value }) => ctx.resolveAwakeable(id, value),
    race: async (ctx) => {
      const { promise } = ctx.awakeable();
      return await restate.CombineablePromise.race([promise, ctx.sleep(50)]).then(() => "raced");
    },
    patient: async (ctx, key) => {
      try {
        return await ctx.serviceClient(greeter).wait(key);
      } catch (error) {
        await step(ctx, `${key}-compensated`, true);
        throw error;
      }
    },
    failing: async (ctx, name) => {
      await step(ctx, name, 1);
      const attempt = attempts(name);
      if (attempt < 3) throw new Error("not yet");
      return attempt;
    },
    terminal: async () => {
      throw new restate.TerminalError("no", { errorCode: 418 });
    },
    send: async (ctx, key) => {
      ctx.objectSendClient(counter, key, { delay: 10 }).add(5);
      ctx.objectSendClient(counter, key).add(1);
    },
  },
});

const tried = {};
const attempts = (name) => (tried[name] = (tried[name] ?? 0) + 1);

const counter = restate.object({
  name: "Counter",
  handlers: {
    add: async (ctx, value) => {
      const sum = ((await ctx.get("sum")) ?? 0) + value;
      ctx.set("sum", sum);
      return sum;
    },
    get: restate.handlers.object.shared(async (ctx) => (await ctx.get("sum")) ?? 0),
    keys: async (ctx) => {
      ctx.set("b", 1);
      ctx.set("a", 1);
      return (await ctx.stateKeys()).sort();
    },
    clear: async (ctx) => {
      ctx.clearAll();
      return await ctx.stateKeys();
    },
  },
});

const box = restate.object({
  name: "Box",
  handlers: {
    put: async (ctx, value) => ctx.set("value", value),
    get: restate.handlers.object.shared(async (ctx) => await ctx.get("value")),
  },
});

const flow = restate.workflow({
  name: "Flow",
  handlers: {
    run: async (ctx) => {
      const first = await ctx.promise("first").peek();
      const value = await ctx.promise("first").get();
      await ctx.promise("second").resolve(`${value}!`);
      return [first ?? null, value];
    },
    signal: async (ctx, value) => ctx.promise("first").resolve(value),
    second: async (ctx) => ctx.promise("second").get(),
  },
});

restate.endpoint().bind(greeter).bind(counter).bind(box).bind(flow).listen(Number(port));
