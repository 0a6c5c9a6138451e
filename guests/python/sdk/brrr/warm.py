"""What a run would do for the first time, done while the component is built: its memory is what every run begins with.

CPython fills caches and specialises bytecode as it goes, and each of those writes costs a run a page of memory of its own.
A fifth of the cost of a run is saved.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

from brrr import serve
from brrr.app import App
from brrr.handlers import Task
from brrr.host import Invocation, Outcome, Request, Want
from brrr.options import Options

ROUNDS = 50
"""More than any of the interpreter's thresholds for specialising."""


class _AnsweringHost:
    """Has a value for every call."""

    def __init__(self) -> None:
        self.wants: list[Want] = []

    def poll(self, calls: Sequence[Invocation], want: Want, until: int | None) -> Sequence[Outcome | None]:
        self.wants.append(want)
        return [b"1" for _ in calls]

    def time_left(self) -> float:
        return 1.0

    def now(self) -> float:
        return 0.0

    def unix_us(self) -> int:
        return 0

    def sleep(self, seconds: float) -> None:
        pass

    def warn(self, message: str) -> None:
        raise AssertionError(message)


async def _handler(app: App, n: int, text: str) -> list[int]:
    calls = [app.call("warm")(n=n, text=text), app.call("warm")(n=n + 1, text=None)]
    return [await app.call("warm")(), *await app.gather(*calls), *await asyncio.gather(app.call("warm")())]


async def _all_waits(app: App) -> None:
    def calls() -> list[asyncio.Task[object]]:
        return [asyncio.create_task(app.call("warm")(i=i)) for i in range(2)]

    async def chain(call: asyncio.Task[object]) -> object:
        async with asyncio.timeout(1):
            return await call

    await asyncio.gather(*calls())
    async with asyncio.TaskGroup() as group:
        group.create_task(app.call("warm")())
    await asyncio.gather(*calls(), return_exceptions=True)
    await asyncio.wait(calls())
    await asyncio.wait(calls(), return_when=asyncio.FIRST_COMPLETED)
    for each in asyncio.as_completed(calls()):
        await each
    await asyncio.gather(*[chain(call) for call in calls()])


_WANTS: list[Want] = ["all", "all", 2, 2, 1, 1, "progress"]


def up() -> None:
    """Runs handlers that are of no task. Then nothing that is there by now is looked at by the garbage collector again."""
    host = _AnsweringHost()
    task: Task[..., object] = Task(_handler, "warm", Options(), takes_app=True, raw=False)
    for _ in range(ROUNDS):
        result = serve.run(task, _request(b'[{"n": 1, "text": "a"}]'), host)
        assert result == b"[1, 1, 1, 1]", result
    # `brrr.waits` looks at parts of asyncio that another version of Python may have changed. That must not go unnoticed, and
    # the component's Python is here only.
    host = _AnsweringHost()
    serve.run(Task(_all_waits, "waits", Options(), takes_app=True, raw=False), _request(b"[{}]"), host)
    assert host.wants == _WANTS, f"what the calls of a handler wait for is not understood: {host.wants}"
    gc.collect()
    gc.freeze()


def _request(payload: bytes) -> Request:
    return Request("warm", payload, "", "", "", 1, None)
