"""The tasks of guests/CONFORMANCE.md."""

import asyncio
import logging
import os
import random as random_module
import socket
import sys
import time
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Never

import brrr
import brrr.http


@brrr.handler_no_arg
async def noop() -> None:
    return None


@brrr.handler_no_arg
async def hello(greetee: str) -> str:
    return f"Hello, {greetee}!"


@brrr.handler
async def fib(app: brrr.App, n: int, salt: str | None = None) -> int:
    """A tree of calls. With a salt every call in it is another one; without, equal calls are one."""
    if n < 2:
        return n
    left, right = (None, None) if salt is None else (salt + "l", salt + "r")
    return sum(await app.gather(app.call(fib)(n=n - 2, salt=left), app.call(fib)(n=n - 1, salt=right)))


@brrr.handler
async def spawns(app: brrr.App, n: int) -> list[str]:
    """`n` detached jobs; their ids."""
    return [await app.spawn(fib)(n=i, salt="spawn") for i in range(n)]


@brrr.handler
async def spawns_between(app: brrr.App) -> list[str]:
    """A detached job before a call, which another run starts again, and one after it."""
    before = await app.spawn(fib)(n=1, salt="between")
    await app.call(fib)(n=2, salt=None)
    return [before, await app.spawn(fib)(n=3, salt="between")]


@brrr.handler_no_arg
async def leaf(i: int) -> int:
    return i


@brrr.handler
async def fan_out(app: brrr.App, n: int) -> int:
    """`n` children at once; their sum."""
    return sum(await app.gather(*[app.call(leaf)(i=i) for i in range(n)]))


@brrr.handler
async def gather(app: brrr.App, n: int) -> list[int]:
    """The same children; their values in the order of the calls."""
    return await app.gather(*[app.call(leaf)(i=i) for i in range(n)])


@brrr.handler
async def sequential(app: brrr.App, n: int) -> int:
    """`n` children, one after the other."""
    total = 0
    for i in range(n):
        total += await app.call(leaf)(i=i)
    return total


@brrr.handler
async def chains(app: brrr.App, n: int) -> list[int]:
    """`n` chains of two calls at the same time."""

    async def chain(k: int) -> int:
        return await app.call(leaf)(i=await app.call(leaf)(i=k) + n)

    return await app.gather(*[chain(k) for k in range(n)])


@brrr.handler
async def race(app: brrr.App, slow: str, gate: str) -> list[int]:
    """A race of two topics, then a call on a third: which won, its value, and that call's."""
    results = await app.some(1, app.call(leaf, topic=slow)(i=0), app.call(leaf)(i=1))
    winner, value = next((i, value) for i, value in enumerate(results) if isinstance(value, int))
    return [winner, value, await app.call(leaf, topic=gate)(i=2)]


@brrr.handler
async def race_of(app: brrr.App, need: int, n: int) -> list[int | None]:
    """The values of the first `need` of `n` children, None for the others."""
    results = await app.some(need, *[app.call(leaf)(i=i) for i in range(n)])
    return [value if isinstance(value, int) else None for value in results]


@brrr.handler_no_arg(max_retries=0)
async def fails(message: str) -> Never:
    raise ValueError(message)


@brrr.handler
async def catches(app: brrr.App, message: str) -> dict[str, Any]:
    """A child's failure, caught, beside the value of one that did not fail."""
    failed, fine = await asyncio.gather(
        app.call(fails)(message=message), app.call(leaf)(i=1), return_exceptions=True
    )
    if not isinstance(failed, brrr.CallFailedError):
        raise brrr.PermanentError("the child should have failed")
    return {"kind": failed.kind, "task": failed.task, "message": failed.message, "fine": fine}


@brrr.handler
async def fails_child(app: brrr.App, message: str) -> Any:
    """A child's failure, not caught."""
    return await app.call(fails)(message=message)


@brrr.handler
async def unknown_child(app: brrr.App) -> Any:
    return await app.call("no_such_task")()


@brrr.handler_no_arg(max_retries=3)
async def stubborn() -> Never:
    """An error that no retry can mend, although it may be retried."""
    raise brrr.PermanentError("no use")


@brrr.handler_no_arg(max_retries=2, retry_delay=0.01)
async def always_fails() -> Never:
    """An error that might pass and never does."""
    raise ValueError("never works")


@brrr.handler(max_retries=5)
async def calls_always_fails(app: brrr.App, catch: bool) -> dict[str, Any]:
    """A child that fails after its retries: caught, or passed on. For that it is not run again itself."""
    try:
        await app.call(always_fails)()
    except brrr.CallFailedError as error:
        if catch:
            return {"kind": error.kind, "task": error.task, "message": error.message, "attempts": error.attempts}
        raise
    raise brrr.PermanentError("the child should have failed")


@brrr.handler(max_retries=3, retry_delay=0.01, backoff="fixed")
async def flaky(app: brrr.App, until: int) -> dict[str, int]:
    """Fails before the attempt `until`, then says which one it is."""
    attempt = app.request.attempt
    if attempt < until:
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
    except brrr.CallFailedError as error:
        return error.kind
    raise brrr.PermanentError("it never ends")


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
    await asyncio.sleep(seconds)
    return time.time() - before


@brrr.handler_no_arg(max_retries=0)
async def grows() -> None:
    """Takes memory until it is stopped."""
    hoard = []
    while True:
        hoard.append(b"x" * (1 << 20))


@brrr.handler_no_arg(max_retries=0)
async def recurses() -> int:
    sys.setrecursionlimit(1 << 30)

    def deeper(n: int) -> int:
        return deeper(n + 1) + 1

    return deeper(0)


@brrr.handler_no_arg
async def big_result(bytes: int) -> str:
    """A result of that many bytes, its two quotes included."""
    return "x" * (bytes - 2)


@brrr.handler_raw
async def echo(_: brrr.App, payload: bytes) -> bytes:
    return payload


@brrr.handler
async def call_raw(app: brrr.App, bytes: int) -> list[Any]:
    """A call in bytes that are no JSON; how many came back, and whether they are the same."""
    pattern = b"".join(i.to_bytes() for i in range(256))
    sent = (pattern * (bytes // 256 + 1))[:bytes]
    got = await app.call_raw(echo, sent)
    return [len(got), got == sent]


@brrr.handler
async def call_topic(app: brrr.App, topic: str, i: int) -> int:
    return await app.call(leaf, topic=topic)(i=i)


@brrr.handler
async def call_hash(app: brrr.App, hash: str) -> list[int]:
    """Two different calls that claim one identity: they share the first one's value."""
    first = await app.call(leaf, call_hash=hash)(i=1)
    second = await app.call(leaf, call_hash=hash)(i=2)
    return [first, second]


@brrr.handler
async def relays(app: brrr.App, task: str, topic: str | None, args: dict[str, Any]) -> Any:
    """Any call, with any arguments."""
    return await app.call(task, topic=topic)(**args)


@brrr.handler(timeout=30)
async def about(app: brrr.App) -> dict[str, Any]:
    """What a handler is told about its call."""
    request = app.request
    return {
        "task": request.task,
        "call_hash": request.call_hash,
        "root_id": request.job_id,
        "topic": request.topic,
        "attempt": request.attempt,
        "has_deadline": request.deadline_ms is not None,
    }


@brrr.handler
async def prints(app: brrr.App, line: str) -> str:
    """Lines before and after a call: each must be seen once, though the handler runs twice."""
    print("before", line)
    logging.warning("warning %s", line)
    await app.call(leaf)(i=1)
    print("after", line)
    return line


@brrr.handler
async def clock(app: brrr.App) -> list[int]:
    """The time, and the same after a replay: a clock that had moved would ask for another child."""
    now = time.time_ns() // 1_000_000
    return [now, await app.call(leaf)(i=now)]


@brrr.handler
async def sleeps(app: brrr.App, ms: int) -> int:
    """Sleeps, then says how far the clock moved. Not a leaf, so the run is dropped while it sleeps."""
    before = time.time_ns()
    await asyncio.sleep(ms / 1000)
    return await app.call(leaf)(i=round((time.time_ns() - before) / 1_000_000))


@brrr.handler
async def random(app: brrr.App) -> list[int]:
    """A random number, the same after a replay, and another one."""
    drawn = random_module.randrange(1 << 53)
    return [drawn, await app.call(leaf)(i=drawn), random_module.randrange(1 << 53)]


@brrr.handler_no_arg(leaf=True)
async def real(ms: int) -> dict[str, int]:
    """A leaf's clock, sleep and random numbers."""
    before = time.time_ns() // 1_000_000
    await asyncio.sleep(ms / 1000)
    return {"before": before, "after": time.time_ns() // 1_000_000, "random": random_module.randrange(1 << 53)}


@brrr.handler_no_arg
async def forbidden(port: int, path: str) -> dict[str, Any]:
    """Tries to reach out of its component."""

    def read() -> None:
        with open(path) as file:
            file.read()

    def write() -> None:
        with open(f"{path}.new", "w") as file:
            file.write("x")

    def outcome(*attempts: Callable[[], Any]) -> str:
        said = ""
        for attempt in attempts:
            try:
                attempt()
                return "got it"
            except (OSError, NotImplementedError) as error:
                said = f"refused: {error}"
        return said

    return {
        "network": outcome(lambda: socket.create_connection(("127.0.0.1", port), timeout=1)),
        "files": outcome(read, write),
        "environment": list(os.environ),
    }


@brrr.handler_no_arg(leaf=True, max_retries=0)
async def http_get(url: str) -> dict[str, Any]:
    """What is at a URL."""
    response = await brrr.http.get(url)
    return {"status": response.status, "body": response.text}


@brrr.handler_no_arg(leaf=True, max_retries=0)
async def http_send(method: str, url: str, headers: dict[str, str], body: str) -> dict[str, Any]:
    """A request of any kind, with headers and a body."""
    response = await brrr.http.request(method, url, headers=headers, content=body)
    return {"status": response.status, "body": response.text}


@brrr.handler_no_arg(leaf=True, max_retries=0)
async def http_several(urls: list[str]) -> list[str]:
    """All at once; their bodies, in order."""
    responses = await asyncio.gather(*[brrr.http.get(url) for url in urls])
    return [response.text for response in responses]


@brrr.handler(max_retries=0)
async def http_beside(app: brrr.App, url: str, i: int) -> list[Any]:
    """A request beside a call."""
    response, value = await asyncio.gather(brrr.http.get(url), app.call(leaf)(i=i))
    return [response.text, value]


@brrr.handler_no_arg(leaf=True, max_retries=0)
async def http_caught(url: str) -> str:
    """A request that fails is an ordinary error."""
    try:
        return f"status {(await brrr.http.get(url)).status}"
    except brrr.http.HTTPError as error:
        return f"error: {error}"


@brrr.handler_no_arg(leaf=True)
async def env_get(key: str) -> str:
    """A variable, or why not."""
    try:
        return os.environ[key]
    except KeyError as error:
        return f"error: {error}"


@brrr.handler_no_arg(leaf=True)
async def file_read(path: str) -> str:
    """A file's text, or why not."""
    try:
        return Path(path).read_text()
    except OSError as error:
        return f"error: {error}"


@brrr.handler_no_arg(leaf=True)
async def file_write(path: str, text: str) -> str:
    """Writes a file, and says `written` or why not."""
    try:
        Path(path).write_text(text)
    except OSError as error:
        return f"error: {error}"
    return "written"


@brrr.handler_no_arg(max_retries=1, retry_delay=0.01)
async def cut(kind: str, text: str) -> str:
    """Text that ends in the middle of a character, on each way out of the component."""
    at = next(i for i, character in enumerate(text) if ord(character) > 0xFFFF)
    half = chr(0xD800 + ((ord(text[at]) - 0x10000) >> 10))
    said = f"cut: {text[:at]}{half}"
    if kind == "output":
        print(said)
    elif kind == "log":
        logging.warning(said)
    elif kind == "error":
        raise ValueError(said)
    else:
        raise brrr.PermanentError(said)
    return "done"


@brrr.handler_no_arg(max_retries=0)
async def causes() -> Never:
    try:
        raise KeyError("inner trouble")
    except KeyError as error:
        raise ValueError("outer trouble") from error


@brrr.handler_no_arg(max_retries=0)
async def several() -> None:
    """Fails with two errors at once."""

    async def fails(what: str) -> None:
        raise ValueError(f"{what} trouble")

    async with asyncio.TaskGroup() as group:
        for what in ("first", "second"):
            group.create_task(fails(what))


@brrr.handler_no_arg
async def nothing() -> None:
    """Returns nothing, without a `return`."""


@brrr.handler_no_arg(max_retries=1, retry_delay=0.01)
async def no_number() -> dict[str, list[float]]:
    return {"values": [1, float("nan")]}


@brrr.handler_no_arg
async def zone() -> str:
    """Noon of UTC in Zurich."""
    return datetime(2024, 7, 1, 12, tzinfo=UTC).astimezone(zoneinfo.ZoneInfo("Europe/Zurich")).isoformat()


@brrr.handler(max_retries=1, retry_delay=0.01)
async def forgotten(app: brrr.App) -> dict[str, Any]:
    """A call in the result that was not awaited."""
    return {"x": app.call(leaf)(i=1)}


@brrr.handler
async def floating(app: brrr.App) -> str:
    """A call that nobody awaits."""
    app.call(leaf)(i=1)
    return "done"


@brrr.handler
async def group(app: brrr.App) -> list[int]:
    """A call is a coroutine, which a TaskGroup takes."""
    async with asyncio.TaskGroup() as tasks:
        a = tasks.create_task(app.call(leaf)(i=1))
        b = tasks.create_task(app.call(leaf)(i=2))
    return [a.result(), b.result()]


@brrr.handler(max_retries=0)
async def group_fails(app: brrr.App, n: int) -> None:
    """Fails with n errors."""

    async def part(i: int) -> None:
        raise ValueError(f"part {i} has no price")

    async with asyncio.TaskGroup() as tasks:
        for i in range(n):
            tasks.create_task(part(i))


@brrr.handler(max_retries=0)
async def cancelled(app: brrr.App) -> None:
    """Awaits a task that it has cancelled."""
    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    await task


@brrr.handler_no_arg(leaf=True)
async def resolve(host: str) -> str:
    """There are no sockets; the error says what there is."""
    try:
        return repr(socket.getaddrinfo(host, 80))
    except OSError as error:
        return repr(error)


@brrr.handler_no_arg(leaf=True)
async def nap(ms: int, tag: str) -> str:
    """Sleeps for real."""
    await asyncio.sleep(ms / 1000)
    return tag


@brrr.handler
async def sides(app: brrr.App, ms: int, salt: str) -> list[str]:
    """Four chains, of which each has one slow step at another place."""

    async def chain(k: int) -> str:
        tag = ""
        for i in range(4):
            tag = await app.call(nap)(ms=ms if i == k else 0, tag=f"{salt}{k}{i}")
        return tag

    return await app.gather(*[chain(k) for k in range(4)])


@brrr.handler(max_retries=0)
async def fail_fast(app: brrr.App, ms: int, salt: str) -> None:
    """A failure beside a call that takes long."""
    await app.gather(app.call(fails)(message=salt), app.call(nap)(ms=ms, tag=salt))


@brrr.handler
async def too_late(app: brrr.App, ms: int, limit: int, tag: str) -> str:
    """A limit on a call."""
    try:
        return await asyncio.wait_for(app.call(nap)(ms=ms, tag=tag), limit / 1000)
    except TimeoutError:
        return "too late"


@brrr.handler
async def twice_late(app: brrr.App, ms: int, limit: int, tag: str) -> list[str]:
    """The same call with a limit, and then without."""
    try:
        async with asyncio.timeout(limit / 1000):
            first = await app.call(nap)(ms=ms, tag=tag)
    except TimeoutError:
        first = "too late"
    return [first, await app.call(nap)(ms=ms, tag=tag)]


@brrr.handler
async def asks(app: brrr.App, name: str, limit: int) -> Any:
    """What somebody outside answers, if it comes in time."""
    try:
        return await asyncio.wait_for(app.promise(name), limit / 1000 if limit else None)
    except TimeoutError:
        return "too late"


@brrr.handler
async def asks_or(app: brrr.App, name: str, ms: int, tag: str) -> Any:
    """A race of a promise and a call."""
    return await app.first(app.promise(name), app.call(nap)(ms=ms, tag=tag))


@brrr.handler
async def asks_caught(app: brrr.App, name: str) -> dict[str, str]:
    """A promise that is rejected."""
    try:
        await app.promise(name)
    except brrr.CallFailedError as error:
        return {"kind": error.kind, "message": error.message}
    raise brrr.PermanentError("the promise should have been rejected")


@brrr.handler_no_arg(leaf=True)
async def dice(i: int) -> int:
    """Another number in each run."""
    return random_module.randrange(1 << 53)


@brrr.handler
async def scoped(app: brrr.App, scope: str | None, i: int) -> int:
    """A call whose outcome is shared as the scope says."""
    return await app.call(dice, scope=scope)(i=i)


@brrr.handler_no_arg(max_retries=0)
async def attaches(code: int) -> Never:
    """An error with something for the caller's program."""
    raise brrr.PermanentError("attached", details={"code": code})


@brrr.handler
async def reads_details(app: brrr.App, code: int) -> int:
    """The code in the details of a child's failure."""
    try:
        await app.call(attaches)(code=code)
    except brrr.CallFailedError as error:
        if error.details is None:
            raise
        found: int = error.details["code"]
        return found
    raise brrr.PermanentError("the child should have failed")


@brrr.handler_no_arg
async def logs_fields() -> None:
    logging.info("with fields", extra={"a": 1, "b": "two"})


@brrr.handler_no_arg(max_retries=0)
async def described(text: str, times: int) -> str:
    """Repeats a text."""
    return text * times


@brrr.handler_no_arg
async def python_greet(name: str) -> str:
    return f"{name} from python"


@brrr.handler
async def python_gather(app: brrr.App, name: str, tasks: list[str], topics: list[str | None]) -> list[str]:
    """One child for each task, each on its topic, in one batch."""
    calls = [app.call(task, topic=topic)(name=name) for task, topic in zip(tasks, topics, strict=True)]
    results: list[str] = await app.gather(*calls)
    return results
