"""What a handler does with the rest of the call graph."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, overload

from brrr import codec
from brrr.errors import CallFailed, Permanent
from brrr.handlers import Task
from brrr.host import Failure, Invocation, Outcome, Request
from brrr.loop import Loop
from brrr.options import CallOptions, call_options

P = ParamSpec("P")
R = TypeVar("R")


class Call(Awaitable[R], Generic[R]):
    """A call that is made once it is awaited, alone or through `gather`. Raises `CallFailed` if the task failed."""

    def __init__(self, invocation: Invocation, decode: Callable[[bytes], R]) -> None:
        self.invocation = invocation
        self._decode = decode

    def __await__(self) -> Generator[Any, None, R]:
        outcome = yield from _loop().wait_for_call(self.invocation)
        return self.result(outcome)

    def result(self, outcome: Outcome) -> R:
        """What an outcome of this call means in Python."""
        if isinstance(outcome, Failure):
            raise CallFailed(outcome)
        try:
            return self._decode(outcome)
        except ValueError as error:
            raise Permanent(f"the result of {self.invocation.task} is not JSON: {error}") from error


class App:
    """Calls other tasks. Every handler gets one as its first argument."""

    def __init__(self, request: Request) -> None:
        self.request = request
        """The call that is being handled: its task, topic, hash, job, attempt and deadline."""

    @overload
    def call(self, task: Task[P, R], **options: Unpack[CallOptions]) -> Callable[P, Call[R]]: ...
    @overload
    def call(self, task: str, **options: Unpack[CallOptions]) -> Callable[..., Call[Any]]: ...
    def call(self, task: Task[..., Any] | str, **options: Unpack[CallOptions]) -> Callable[..., Call[Any]]:
        """A call of another task: `await app.call(fib)(n=10)`, or by name `app.call("fib", topic="math")(n=10)`.

        options: where and as what it is made, and how it is run: see `CallOptions`.
        """
        name = _name(task)

        def with_arguments(*args: Any, **kwargs: Any) -> Call[Any]:
            if args:
                raise TypeError(f"the arguments of a call are given by name: app.call({name})(n=…)")
            payload, derived = codec.encode_call(name, kwargs)
            return Call(_invocation(name, payload, derived, **options), codec.decode_result)

        return with_arguments

    def call_raw(self, task: Task[..., Any] | str, payload: bytes, **options: Unpack[CallOptions]) -> Call[bytes]:
        """A call with a payload of any format; gives the result's bytes. Without `call_hash` the host derives one.

        options: as for `call`.
        """
        return Call(_invocation(_name(task), payload, None, **options), bytes)

    def time_left(self) -> float:
        """Seconds until this run is stopped, whatever it does: by the timeout of its task or of its job.

        It differs from replay to replay, so nothing that is called or returned may depend on it, except in a leaf.
        """
        return _loop().time_left()

    def is_active(self) -> bool:
        """Is there any time left? For work that would rather stop early by itself: `while app.is_active(): …`"""
        return self.time_left() > 0

    async def gather(self, *awaitables: Awaitable[Any]) -> list[Any]:
        """All results in the order of the arguments. Calls that wait at the same time are queued together."""
        return await asyncio.gather(*awaitables)

    async def first(self, *calls: Call[R]) -> R:
        """The first result of several calls, the same one in every replay. Raises if what ends first has failed."""
        if not calls:
            raise ValueError("app.first needs at least one call")
        outcomes = await self._some(1, calls)
        return next(call.result(outcome) for call, outcome in zip(calls, outcomes) if outcome is not None)

    async def some(self, need: int, *calls: Call[R]) -> list[R | CallFailed | None]:
        """As soon as `need` of the calls have ended: their results or errors in place, None for the others."""
        if not 0 <= need <= len(calls):
            raise ValueError(f"app.some: {need} of {len(calls)} calls can never end")
        results: list[R | CallFailed | None] = []
        for call, outcome in zip(calls, await self._some(need, calls)):
            try:
                results.append(None if outcome is None else call.result(outcome))
            except CallFailed as error:
                results.append(error)
        return results

    async def _some(self, need: int, calls: tuple[Call[R], ...]) -> list[Outcome | None]:
        return list(await _loop().wait_for_some([call.invocation for call in calls], need))


def _name(task: Task[..., Any] | str) -> str:
    return task if isinstance(task, str) else task.name


def _invocation(
    task: str,
    payload: bytes,
    derived_hash: str | None,
    *,
    topic: str | None = None,
    call_hash: str | None = None,
    **options: Any,
) -> Invocation:
    return Invocation(task, payload, topic, call_hash or derived_hash, call_options(**options) if options else ())


def _loop() -> Loop:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, Loop):
        raise RuntimeError("this needs the event loop that handlers run on; it does not work inside asyncio.run")
    return loop
