"""The services of ../README.md, with the unmodified Python SDK, 0.5 or 1.3: `services.py PORT FILE`."""

import asyncio
import functools
import sys
from datetime import timedelta

import hypercorn.asyncio
import hypercorn.config
import restate
from restate.exceptions import TerminalError

PORT, FILE = sys.argv[1:]

# What 0.5 does not have yet: types of values, options of services, handlers and steps.
OLD = not hasattr(restate, "RunOptions")


def unless_old(**options):
    return {} if OLD else options


def step(ctx, name, action, **arguments):
    if OLD:
        return ctx.run(name, functools.partial(action, **arguments))
    return ctx.run_typed(name, action, **arguments)


greeter = restate.Service("Greeter")
idle = restate.Service("Idle", **unless_old(inactivity_timeout=timedelta(milliseconds=100)))
counter = restate.VirtualObject("Counter")
workflow = restate.Workflow("Wf")


def note(key, what):
    with open(FILE, "a", encoding="utf-8") as notes:
        notes.write(f"{key} {what}\n")


async def run(ctx, key, what):
    await step(ctx, what, note, key=key, what=what)


def third(key):
    """Fails unless it is the third attempt."""
    note(key, "attempt")
    with open(FILE, encoding="utf-8") as notes:
        attempt = notes.read().split("\n").count(f"{key} attempt")
    if attempt < 3:
        raise RuntimeError(f"attempt {attempt} fails")
    return attempt


def time(ms):
    return timedelta(milliseconds=ms)


@greeter.handler()
async def greet(ctx: restate.Context, name: str) -> str:
    return f"Hello {name}"


@greeter.handler()
async def three(ctx: restate.Context, key: str) -> int:
    def noted(number, what):
        note(key, what)
        return number

    total = 0
    for number, what in enumerate(["one", "two", "three"], 1):
        total += await step(ctx, what, noted, number=number, what=what)
    return total


@greeter.handler()
async def chain(ctx: restate.Context, name: str) -> str:
    return await ctx.service_call(greet, name)


@greeter.handler("chainNap")
async def chain_nap(ctx: restate.Context, request: dict) -> str:
    return await ctx.service_call(nap, request)


@greeter.handler("oneWay")
async def one_way(ctx: restate.Context, key: str) -> None:
    ctx.object_send(add, key, 1)


@greeter.handler()
async def later(ctx: restate.Context, request: dict) -> None:
    ctx.object_send(add, request["key"], 1, send_delay=time(request["ms"]))


@greeter.handler()
async def nap(ctx: restate.Context, request: dict) -> str:
    note(request["key"], "attempt")
    await run(ctx, request["key"], "before")
    await ctx.sleep(time(request["ms"]))
    await run(ctx, request["key"], "after")
    return "slept"


@idle.handler("nap")
async def idle_nap(ctx: restate.Context, request: dict) -> str:
    return await nap(ctx, request)


@greeter.handler()
async def slow(ctx: restate.Context, request: dict) -> str:
    async def slowly():
        note(request["key"], "slow")
        await asyncio.sleep(request["ms"] / 1000)

    await run(ctx, request["key"], "one")
    await step(ctx, "slow", slowly)
    await run(ctx, request["key"], "three")
    return "done"


@greeter.handler()
async def fail(ctx: restate.Context, message: str) -> None:
    raise TerminalError(message, status_code=418)


@greeter.handler()
async def flaky(ctx: restate.Context, key: str) -> int:
    return third(key)


@greeter.handler("flakyRun")
async def flaky_run(ctx: restate.Context, key: str) -> int:
    if OLD:
        return await step(ctx, "third", third, key=key)
    options = restate.RunOptions(initial_retry_interval=time(50))
    return await ctx.run_typed("third", third, options, key=key)


@greeter.handler()
async def awakeable(ctx: restate.Context, key: str) -> str:
    note(key, "attempt")
    name, value = ctx.awakeable(**unless_old(type_hint=str))
    await run(ctx, key, f"id {name}")
    return await value


@idle.handler("awakeable")
async def idle_awakeable(ctx: restate.Context, key: str) -> str:
    return await awakeable(ctx, key)


@greeter.handler()
async def resolve(ctx: restate.Context, request: dict) -> None:
    ctx.resolve_awakeable(request["id"], request["value"])


@greeter.handler()
async def reject(ctx: restate.Context, request: dict) -> None:
    ctx.reject_awakeable(request["id"], request["value"])


@counter.handler()
async def add(ctx: restate.ObjectContext, n: int) -> int:
    count = (await ctx.get("count", **unless_old(type_hint=int)) or 0) + n
    ctx.set("count", count)
    ctx.set("last", n)
    return count


@counter.handler(kind="shared")
async def get(ctx: restate.ObjectSharedContext) -> int:
    return await ctx.get("count", **unless_old(type_hint=int)) or 0


@counter.handler(kind="shared", **unless_old(enable_lazy_state=True))
async def lazy(ctx: restate.ObjectSharedContext) -> int:
    return await ctx.get("count", **unless_old(type_hint=int)) or 0


@counter.handler(kind="shared")
async def keys(ctx: restate.ObjectSharedContext) -> list:
    return sorted(await ctx.state_keys())


@counter.handler()
async def clear(ctx: restate.ObjectContext) -> None:
    ctx.clear("last")


@counter.handler()
async def reset(ctx: restate.ObjectContext) -> None:
    ctx.clear_all()


def go(ctx):
    return ctx.promise("go", **unless_old(type_hint=str))


@workflow.main("run")
async def run_workflow(ctx: restate.WorkflowContext, text: str) -> str:
    value = await go(ctx).value()
    return f"{text}:{value}"


@workflow.handler()
async def finish(ctx: restate.WorkflowSharedContext, value: str) -> None:
    await go(ctx).resolve(value)


@workflow.handler()
async def refuse(ctx: restate.WorkflowSharedContext, reason: str) -> None:
    await go(ctx).reject(reason)


@workflow.handler()
async def peek(ctx: restate.WorkflowSharedContext) -> str:
    return await go(ctx).peek() or "-"


if __name__ == "__main__":
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{PORT}"]
    app = restate.app([greeter, idle, counter, workflow])
    asyncio.run(hypercorn.asyncio.serve(app, config))
