"""The mistakes of guests/TESTING.md, one a task: `brrr-host test` finds each, or the host makes it harmless."""

import asyncio
import os
import random as random_module
import time
from typing import Any

import brrr
import brrr.http

runs = 0


@brrr.handler_no_arg
async def leaf(i: int) -> int:
    """A call without children, which gives what it got."""
    return i


@brrr.handler
async def clock(app: brrr.App) -> int:
    return await app.call(leaf)(i=int(time.time() * 1000))


@brrr.handler
async def random(app: brrr.App) -> int:
    return await app.call(leaf)(i=random_module.getrandbits(53))


@brrr.handler
async def iteration_order(app: brrr.App) -> int:
    total = 0
    for name in {f"name {n}" for n in range(20)}:
        total += await app.call(leaf)(i=int(name.split()[1]))
    return total


@brrr.handler
async def mutable_global(app: brrr.App) -> int:
    global runs
    runs += 1
    return await app.call(leaf)(i=runs)


@brrr.handler
async def environment(app: brrr.App) -> int:
    return await app.call(leaf)(i=len(os.environ.get("HOME", "")))


@brrr.handler
async def uncaught_failure(app: brrr.App) -> int:
    """Adds up what may be an exception."""
    values: list[Any] = await asyncio.gather(app.call(leaf)(i=1), app.call(leaf)(i=2), return_exceptions=True)
    return sum(values)


@brrr.handler
async def wrong_type(app: brrr.App) -> int:
    """Takes for a number what is none."""
    return 2 + await app.call("price")(item="pear")


@brrr.handler_no_arg
async def not_serialisable() -> Any:
    return {1, 2, 3}


@brrr.handler
async def race(app: brrr.App) -> int:
    value = await app.first(app.call(leaf)(i=1), app.call(leaf)(i=2))
    return await app.call(leaf)(i=10 * value)


@brrr.handler(leaf=True)
async def leaf_calls(app: brrr.App) -> int:
    return await app.call(leaf)(i=1)


@brrr.handler
async def time_left(app: brrr.App) -> int:
    batch = 3 if app.time_left() > 1 else 1
    return sum(await app.gather(*[app.call(leaf)(i=i) for i in range(batch)]))


@brrr.handler
async def busy_wait(app: brrr.App) -> int:
    """Waits for a time that doesn't come while it computes."""
    end = time.time() + 0.01
    while time.time() < end:
        pass
    return await app.call(leaf)(i=1)


@brrr.handler
async def no_end(app: brrr.App, n: int) -> int:
    return sum(await app.gather(app.call(no_end)(n=n + 1), app.call(leaf)(i=n)))


@brrr.handler
async def file(app: brrr.App) -> int:
    """Counts its runs in a file."""
    try:
        with open("/data/runs") as counted:
            seen = int(counted.read()) + 1
    except FileNotFoundError:
        seen = 1
    with open("/data/runs", "w") as counted:
        counted.write(str(seen))
    return await app.call(leaf)(i=seen)


@brrr.handler
async def request(app: brrr.App, url: str) -> int:
    """What a server says today."""
    response = await brrr.http.get(url)
    return await app.call(leaf)(i=int(response.text))
