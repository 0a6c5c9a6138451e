"""What a handler does with the rest of the call graph."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from brrr import codec
from brrr.call import Call
from brrr.errors import CallFailed, Permanent
from brrr.handlers import Task
from brrr.host import Invocation, Outcome, Request
from brrr.loop import current_loop
from brrr.options import CallOptions, call_options
from brrr.text import clean

P = ParamSpec("P")
R = TypeVar("R")


class App:
    """Calls other tasks. Every handler gets one as its first argument."""

    def __init__(self, request: Request) -> None:
        self.request = request
        """The call that is being handled: its task, topic, hash, job, attempt and deadline."""
        self._unstarted: dict[int, Call[Any]] = {}

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
            try:
                payload, derived = codec.encode_call(name, kwargs)
            except codec.NotJSON as error:
                raise Permanent(f"the arguments of {name} are not JSON: {error}") from None
            return Call(_invocation(name, payload, derived, **options), codec.decode_result, self._unstarted)

        return with_arguments

    def call_raw(self, task: Task[..., Any] | str, payload: bytes, **options: Unpack[CallOptions]) -> Call[bytes]:
        """A call with a payload of any format; gives the result's bytes. Without `call_hash` the host derives one.

        options: as for `call`.
        """
        return Call(_invocation(_name(task), payload, None, **options), bytes, self._unstarted)

    def never_started(self) -> list[str]:
        """The tasks of the calls that were made and never waited for, in the order in which they were made."""
        return [call.invocation.task for call in self._unstarted.values()]

    def time_left(self) -> float:
        """Seconds until this run is stopped, whatever it does: by the timeout of its task or of its job.

        It differs from replay to replay, so nothing that is called or returned may depend on it, except in a leaf.
        """
        return current_loop().time_left()

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
        for call in calls:
            if not isinstance(call, Call):
                raise TypeError(f"a race is between calls, app.call(task)(…), and this is a {type(call).__name__}")
            call.begin()
        return list(await current_loop().wait_for_some([call.invocation for call in calls], need))


def _name(task: Task[..., Any] | str) -> str:
    return clean(task) if isinstance(task, str) else task.name


def _invocation(
    task: str,
    payload: bytes,
    derived_hash: str | None,
    *,
    topic: str | None = None,
    call_hash: str | None = None,
    **options: Any,
) -> Invocation:
    if call_hash is not None and call_hash != clean(call_hash):
        # Not replaced, as a name would be: two different ones might become the same.
        raise ValueError("call_hash is no valid Unicode")
    return Invocation(task, payload, topic, call_hash or derived_hash, call_options(**options) if options else ())
