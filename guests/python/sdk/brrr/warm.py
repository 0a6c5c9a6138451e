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
from brrr.host import Host, Invocation, Outcome, Request, Want
from brrr.options import Options

ROUNDS = 50
"""More than any of the interpreter's thresholds for specialising."""


class _AnsweringHost:
    """Has a value for every call."""

    def poll(self, calls: Sequence[Invocation], want: Want, until: int | None) -> Sequence[Outcome | None]:
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


def up() -> None:
    """Runs handlers that are of no task. Then nothing that is there by now is looked at by the garbage collector again."""
    host: Host = _AnsweringHost()
    task: Task[..., object] = Task(_handler, "warm", Options(), takes_app=True, raw=False)
    request = Request("warm", b'[{"n": 1, "text": "a"}]', "", "", "", 1, None)
    for _ in range(ROUNDS):
        result = serve.run(task, request, host)
        assert result == b"[1, 1, 1, 1]", result
    gc.collect()
    gc.freeze()
