"""What a handler does with the rest of the call graph."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, overload

from brrr import codec, convert
from brrr.call import Call, Spawn
from brrr.errors import CallFailedError, PermanentError
from brrr.handlers import Task
from brrr.host import Invocation, Outcome, Request
from brrr.loop import current_loop
from brrr.options import CallOptions, call_options
from brrr.text import clean
from brrr.waits import Kind

P = ParamSpec("P")
R = TypeVar("R")
R1 = TypeVar("R1")
R2 = TypeVar("R2")
R3 = TypeVar("R3")
R4 = TypeVar("R4")
R5 = TypeVar("R5")

PROMISE = "brrr.promise"
"""The host's task whose outcome is what somebody outside answers."""

DETACHED = ("detached", "true")
"""Such a call is a job of its own. The host answers it at once, with the job's id."""

_PEERS_HASH = ("hash-of", "python")
"""The host makes the hash that the existing Python worker gives the same call, so that both share its result."""


class App:
    """Calls other tasks. Every handler gets one as its first argument."""

    def __init__(self, request: Request) -> None:
        self.request = request
        """The call that is being handled: its task, topic, hash, job, attempt and deadline."""
        self._numbers = itertools.count()
        self._unstarted: dict[int, Call[Any]] = {}

    @overload
    def call(self, task: Task[P, R], **options: Unpack[CallOptions]) -> Callable[P, Call[R]]: ...
    @overload
    def call(self, task: str, **options: Unpack[CallOptions]) -> Callable[..., Call[Any]]: ...
    def call(self, task: Task[..., Any] | str, **options: Unpack[CallOptions]) -> Callable[..., Call[Any]]:
        """A call of another task: `await app.call(fib)(10)`, or by name `app.call("fib", topic="math")(n=10)`.

        options: where and as what it is made, and how it is run: see `CallOptions`.
        """
        decode: Callable[[bytes], Any] = codec.decode_result
        if isinstance(task, Task) and task.signature.converts_result:
            decode = _decoder(task.signature.convert_result)

        def with_arguments(*args: Any, **kwargs: Any) -> Call[Any]:
            payload = _payload("call", task, args, kwargs)
            return self._call(_invocation(_name(task), payload, (_PEERS_HASH,), **options), decode)

        return with_arguments

    def call_raw(self, task: Task[..., Any] | str, payload: bytes, **options: Unpack[CallOptions]) -> Call[bytes]:
        """A call with a payload of any format; gives the result's bytes.

        options: as for `call`.
        """
        return self._call(_invocation(_name(task), payload, (), **options), bytes)

    @overload
    def spawn(self, task: Task[P, Any], **options: Unpack[CallOptions]) -> Callable[P, Call[str]]: ...
    @overload
    def spawn(self, task: str, **options: Unpack[CallOptions]) -> Callable[..., Call[str]]: ...
    def spawn(self, task: Task[..., Any] | str, **options: Unpack[CallOptions]) -> Callable[..., Call[str]]:
        """Starts a detached job, which goes on by itself: `job = await app.spawn(fib)(10)`. Gives the job's id at once.

        Each replay and each further attempt gets the same ids, so start the same jobs in the same order in each.

        options: as for `call`; they are those of the new job's own call.
        """

        def with_arguments(*args: Any, **kwargs: Any) -> Call[str]:
            payload = _payload("spawn", task, args, kwargs)
            return self._spawn(_invocation(_name(task), payload, (_PEERS_HASH,), **options))

        return with_arguments

    def spawn_raw(self, task: Task[..., Any] | str, payload: bytes, **options: Unpack[CallOptions]) -> Call[str]:
        """The same with a payload of any format."""
        return self._spawn(_invocation(_name(task), payload, (), **options))

    @overload
    def promise(self, name: str) -> Call[Any]: ...
    @overload
    def promise(self, name: str, type: type[R]) -> Call[R]: ...
    def promise(self, name: str, type: Any = None) -> Call[Any]:
        """What somebody outside answers to this job's promise of that name. It is awaited, raced and limited like a call.

        type: what the answer is made, as by a handler's annotations. Raises `CallFailedError` of the kind `rejected` if it is
        rejected.
        """
        converter = convert.converter(type)
        decode = codec.decode_result if converter is None else _decoder(lambda value: converter(value, "it"))
        return self._call(Invocation(PROMISE, clean(name).encode()), decode)

    def _call(self, invocation: Invocation, decode: Callable[[bytes], R]) -> Call[R]:
        return Call(invocation, decode, next(self._numbers), self._unstarted)

    def _spawn(self, invocation: Invocation) -> Call[str]:
        detached = replace(invocation, options=(*invocation.options, DETACHED))
        return Spawn(detached, codec.decode_result, next(self._numbers), self._unstarted)

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

    # As with `asyncio.gather`, what is a tuple to type checkers is a list when it runs.
    @overload
    async def gather(  # type: ignore[overload-overlap]
        self, a: Awaitable[R1], b: Awaitable[R2], /, *, return_exceptions: Literal[False] = False
    ) -> tuple[R1, R2]: ...
    @overload
    async def gather(  # type: ignore[overload-overlap]
        self, a: Awaitable[R1], b: Awaitable[R2], c: Awaitable[R3], /, *, return_exceptions: Literal[False] = False
    ) -> tuple[R1, R2, R3]: ...
    @overload
    async def gather(  # type: ignore[overload-overlap]
        self,
        a: Awaitable[R1],
        b: Awaitable[R2],
        c: Awaitable[R3],
        d: Awaitable[R4],
        /,
        *,
        return_exceptions: Literal[False] = False,
    ) -> tuple[R1, R2, R3, R4]: ...
    @overload
    async def gather(  # type: ignore[overload-overlap]
        self,
        a: Awaitable[R1],
        b: Awaitable[R2],
        c: Awaitable[R3],
        d: Awaitable[R4],
        e: Awaitable[R5],
        /,
        *,
        return_exceptions: Literal[False] = False,
    ) -> tuple[R1, R2, R3, R4, R5]: ...
    @overload
    async def gather(  # type: ignore[overload-overlap]
        self, *awaitables: Awaitable[R], return_exceptions: Literal[False] = False
    ) -> list[R]: ...
    @overload
    async def gather(
        self, a: Awaitable[R1], b: Awaitable[R2], /, *, return_exceptions: bool
    ) -> tuple[R1 | BaseException, R2 | BaseException]: ...
    @overload
    async def gather(
        self, a: Awaitable[R1], b: Awaitable[R2], c: Awaitable[R3], /, *, return_exceptions: bool
    ) -> tuple[R1 | BaseException, R2 | BaseException, R3 | BaseException]: ...
    @overload
    async def gather(self, *awaitables: Awaitable[R], return_exceptions: bool) -> list[R | BaseException]: ...
    async def gather(self, *awaitables: Awaitable[Any], return_exceptions: bool = False) -> Any:
        """All results in the order of the arguments. Calls that wait at the same time are queued together.

        The first failure ends it, and the other calls are not waited for any more. With `return_exceptions` it waits for all of
        them, and gives exceptions like results.
        """
        calls = [each for each in awaitables if isinstance(each, Call)]
        if len(calls) < len(awaitables):
            return await asyncio.gather(*awaitables, return_exceptions=return_exceptions)
        # Without an asyncio task for each call.
        kind = Kind.EACH if return_exceptions else Kind.ALL
        outcomes = await self._outcomes(calls, kind, len(calls))
        if return_exceptions:
            return [_result_or_error(call, outcome) for call, outcome in zip(calls, outcomes)]
        return [call.result(outcome) for call, outcome in zip(calls, outcomes) if outcome is not None]

    async def first(self, *calls: Call[R]) -> R:
        """The first result of several calls, the same one in every replay. Raises if what ends first has failed."""
        if not calls:
            raise ValueError("app.first needs at least one call")
        outcomes = await self._outcomes(calls, Kind.RACE, 1)
        return next(call.result(outcome) for call, outcome in zip(calls, outcomes) if outcome is not None)

    async def some(self, need: int, *calls: Call[R]) -> list[R | CallFailedError | None]:
        """As soon as `need` of the calls have ended: their results or errors in place, None for the others."""
        if not 0 <= need <= len(calls):
            raise ValueError(f"app.some: {need} of {len(calls)} calls can never end")
        outcomes = await self._outcomes(calls, Kind.RACE, need)
        return [_result_or_error(call, outcome, CallFailedError) for call, outcome in zip(calls, outcomes)]

    async def _outcomes(self, calls: tuple[Call[R], ...] | list[Call[R]], kind: Kind, need: int) -> list[Outcome | None]:
        for call in calls:
            if not isinstance(call, Call):
                raise TypeError(f"a race is between calls, app.call(task)(…), and this is a {type(call).__name__}")
            call.begin()
        return await current_loop().wait_for([call.invocation for call in calls], kind, need)


def _name(task: Task[..., Any] | str) -> str:
    return clean(task) if isinstance(task, str) else task.name


def _payload(verb: str, task: Task[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """The arguments as JSON. verb: the function that makes the call, for the error's text."""
    name = _name(task)
    if args:
        if isinstance(task, str):
            raise TypeError(f'the arguments of a call by name are given by name: app.{verb}("{name}")(n=…)')
        kwargs = task.signature.named(name, args, kwargs)
    try:
        return codec.encode_arguments(kwargs)
    except codec.NotJSONError as error:
        raise PermanentError(f"the arguments of {name} are not JSON: {error}") from None


def _decoder(convert_value: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    return lambda value: convert_value(codec.decode_result(value))


def _result_or_error(call: Call[Any], outcome: Outcome | None, kind: type[Exception] = Exception) -> Any:
    try:
        return None if outcome is None else call.result(outcome)
    except kind as error:
        return error


def _invocation(
    task: str,
    payload: bytes,
    derive: tuple[tuple[str, str], ...],
    *,
    topic: str | None = None,
    call_hash: str | None = None,
    **options: Any,
) -> Invocation:
    """derive: how the host makes the call's hash, unless there is one."""
    if call_hash is not None:
        if call_hash != clean(call_hash):
            # Not replaced, as a name would be: two different ones might become the same.
            raise ValueError("call_hash is no valid Unicode")
        if options.get("scope") is not None:
            raise ValueError("a call has a call_hash or a scope: the scope would be part of the hash")
        derive = ()
    return Invocation(task, payload, topic, call_hash, derive + call_options(**options) if options else derive)
