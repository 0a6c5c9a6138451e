"""One small task for each thing that a host must get right. The Rust and TypeScript guests have the same ones."""

import asyncio
import logging
import random as random_module
import sys
import time
from typing import Any, Never

import brrr


@brrr.handler_no_arg
async def noop() -> None:
    return None


@brrr.handler_no_arg
async def hello(greetee: str = "World") -> str:
    return f"Hello, {greetee}!"


@brrr.handler
async def fib(app: brrr.App, n: int, salt: str | None = None) -> int:
    """A tree of calls. With a salt every call in it is another one; without, equal calls are one."""
    n = int(n)
    if n < 2:
        return n
    left, right = (None, None) if salt is None else (salt + "l", salt + "r")
    return sum(await app.gather(app.call(fib)(n=n - 2, salt=left), app.call(fib)(n=n - 1, salt=right)))


@brrr.handler_no_arg
async def leaf(i: int) -> int:
    return i


@brrr.handler
async def fan_out(app: brrr.App, n: int) -> int:
    """`n` children at once; their sum, once it is sure that their results came in order."""
    results = await app.gather(*[app.call(leaf)(i=i) for i in range(int(n))])
    assert results == list(range(int(n))), "the outcomes are not in the order of the calls"
    return sum(results)


@brrr.handler
async def sequential(app: brrr.App, n: int) -> int:
    """`n` children, one after the other."""
    total = 0
    for i in range(int(n)):
        total += await app.call(leaf)(i=i)
    return total


@brrr.handler
async def race(app: brrr.App, n: int = 2) -> int:
    """The first of `n` children."""
    return await app.first(*[app.call(leaf)(i=i) for i in range(int(n))])


@brrr.handler_no_arg
async def fails(message: str = "boom") -> Never:
    raise ValueError(message)


@brrr.handler
async def catches(app: brrr.App, message: str = "boom") -> str:
    """A child's failure, caught."""
    try:
        await app.call(fails)(message=message)
    except brrr.CallFailed as error:
        return f"caught: {error.message.splitlines()[0]}"
    return "nothing to catch"


@brrr.handler
async def fails_child(app: brrr.App, message: str = "boom") -> Any:
    """A child's failure, not caught."""
    return await app.call(fails)(message=message)


@brrr.handler
async def unknown_child(app: brrr.App) -> Any:
    return await app.call("no_such_task")()


@brrr.handler_no_arg(max_retries=3)
async def stubborn() -> Never:
    """An error that no retry can mend, although it may be retried."""
    raise brrr.Permanent("no use")


@brrr.handler_no_arg(max_retries=2, retry_delay=0.01)
async def always_fails() -> Never:
    """An error that might pass and never does."""
    raise ValueError("never works")


@brrr.handler(max_retries=5)
async def calls_always_fails(app: brrr.App, catch: bool) -> dict[str, Any]:
    """A child that fails after its retries: caught, or passed on. For that it is not run again itself."""
    try:
        await app.call(always_fails)()
    except brrr.CallFailed as error:
        if catch:
            return {"kind": error.kind, "task": error.task, "message": error.message, "attempts": error.attempts}
        raise
    raise brrr.Permanent("the child should have failed")


@brrr.handler(max_retries=3, retry_delay=0.01, backoff="fixed")
async def flaky(app: brrr.App, until: int) -> dict[str, int]:
    """Fails before the attempt `until`, then says which one it is."""
    attempt = app.request.attempt
    if attempt < int(until):
        raise ValueError(f"attempt {attempt} fails")
    return {"attempt": attempt}


@brrr.handler_no_arg
async def loops() -> None:
    """Never ends."""
    while True:
        pass


@brrr.handler_no_arg(timeout=0.3, max_retries=0)
async def spin_briefly_limited() -> None:
    """Never ends, and is stopped soon."""
    while True:
        pass


@brrr.handler
async def with_options(app: brrr.App) -> str:
    """Calls what never ends, with options of its own; the kind of its failure."""
    try:
        await app.call(loops, timeout=0.2, max_retries=0, label="brief")()
    except brrr.CallFailed as error:
        return error.kind
    raise brrr.Permanent("it never ends")


@brrr.handler_no_arg(
    timeout=10,
    max_retries=1,
    retry_delay=0.01,
    backoff="exponential",
    max_retry_delay=1,
    max_running=2,
    memory="128MiB",
)
async def full_options() -> None:
    """Has every option that there is."""


@brrr.handler(leaf=True, timeout=0.5)
async def patient(app: brrr.App) -> str:
    """Works until its time is nearly over, and stops by itself."""
    while app.is_active() and app.time_left() > 0.1:
        await asyncio.sleep(0.005)
    return "stopped in time"


@brrr.handler_no_arg(leaf=True)
async def sleeper(seconds: float) -> float:
    """Really sleeps, being a leaf; the seconds by which the clock moved."""
    before = time.time()
    await asyncio.sleep(float(seconds))
    return time.time() - before


@brrr.handler_no_arg
async def grows() -> None:
    """Takes memory until it is stopped."""
    hoard = []
    while True:
        hoard.append(bytearray(1 << 20))


@brrr.handler_no_arg
async def recurses() -> int:
    sys.setrecursionlimit(1 << 30)

    def deeper(n: int) -> int:
        return deeper(n + 1) + 1

    return deeper(0)


@brrr.handler_no_arg
async def big_result(bytes: int) -> str:
    """A result of that many bytes, its two quotes included."""
    return "x" * (int(bytes) - 2)


@brrr.handler
async def prints(app: brrr.App, lines: int = 1) -> int:
    """Lines on every way out, some before a call and one after it, so that a replay would print them twice."""
    for i in range(int(lines)):
        print(f"line {i}")
    logging.warning("a warning")
    print("on stderr", file=sys.stderr)
    await app.call(leaf)(i=0)
    print("after the call")
    return int(lines)


@brrr.handler
async def clock(app: brrr.App) -> list[float]:
    """The Unix time in milliseconds before and after a call: in every replay the same."""
    before = time.time() * 1000
    await app.call(leaf)(i=0)
    return [before, time.time() * 1000]


@brrr.handler
async def random(app: brrr.App) -> list[float]:
    """A random number before and after a call: in every replay the same."""
    before = random_module.random()
    await app.call(leaf)(i=0)
    return [before, random_module.random()]
