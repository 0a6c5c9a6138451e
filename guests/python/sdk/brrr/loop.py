"""An event loop that waits for calls.

It runs the handler's coroutines until all of them wait, then waits for what WASI has for them, then asks for every call
that is waited for in one `poll`, and so on. Such a batch is a barrier, so a replay, which sees the same outcomes, makes the
same batches. Because it is an asyncio loop, `asyncio.gather`, `TaskGroup`, `timeout`, locks and queues all work.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from brrr import sockets
from brrr.errors import Permanent
from brrr.host import Host, Invocation, Outcome

T = TypeVar("T")
_Waiting = tuple[Invocation, "asyncio.Future[Outcome]"]
_Select = Callable[[Sequence[Any], float | None], Sequence[int]]
"""Waits until some of WASI's pollables are ready, or for so many seconds; gives their indices."""
_Race = tuple[Sequence[Invocation], int, "asyncio.Future[Sequence[Outcome | None]]"]


# As `Any`: the type stubs want all 50 methods of a loop, of which most have no meaning here and raise.
_AnyLoop: Any = asyncio.AbstractEventLoop


class Loop(_AnyLoop):  # type: ignore[misc]
    """One handler's event loop. There is nothing to wait for but calls, timers and HTTP: no sockets, no threads."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_order = itertools.count()
        self._calls: list[_Waiting] = []
        self._races: list[_Race] = []
        self._pollables: list[tuple[Any, asyncio.Future[None]]] = []
        self._select: _Select | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._unseen: list[tuple[str, BaseException]] = []

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs `main` to its end: what it returned, or what it raised. Then the caller has to `close` the loop."""
        events._set_running_loop(self)
        task: asyncio.Task[T] = self.create_task(main)
        while not task.done():
            self._step()
        return task.result()

    def close(self) -> None:
        """Ends what outlived the handler."""
        try:
            self._cancel_rest()
        finally:
            events._set_running_loop(None)

    def never_asked(self) -> list[str]:
        """The tasks of the calls that somebody began to wait for, and that the handler's end left out."""
        self._drop_cancelled()
        races = [invocation for invocations, _, _ in self._races for invocation in invocations]
        return [invocation.task for invocation in (*(call for call, _ in self._calls), *races)]

    def unseen_failures(self) -> list[tuple[str, BaseException]]:
        """What failed while nobody waited for it: where, and with what."""
        # asyncio has this flag for its own message, "Task exception was never retrieved".
        tasks = [task for task in self._tasks if getattr(task, "_log_traceback", False)]
        failed = [(f"the asyncio task {task.get_name()}", task.exception()) for task in tasks]
        return [*self._unseen, *((where, error) for where, error in failed if error is not None)]

    def wait_for_call(self, invocation: Invocation) -> asyncio.Future[Outcome]:
        """Puts a call into the next batch."""
        future: asyncio.Future[Outcome] = self.create_future()
        self._calls.append((invocation, future))
        return future

    def wait_for_some(
        self, invocations: Sequence[Invocation], need: int
    ) -> asyncio.Future[Sequence[Outcome | None]]:
        """Asks for `need` of the calls, in a poll of its own."""
        future: asyncio.Future[Sequence[Outcome | None]] = self.create_future()
        self._races.append((invocations, need, future))
        return future

    def wait_until_ready(self, pollable: Any, select: _Select) -> asyncio.Future[None]:
        """Waits for something of WASI."""
        future: asyncio.Future[None] = self.create_future()
        self._pollables.append((pollable, future))
        self._select = select
        return future

    def time_left(self) -> float:
        """Seconds until the host stops this run."""
        return self._host.time_left()

    def _step(self) -> None:
        if self._ready:
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()
        elif self._pollables:
            self._resume_ready()
        elif self._drop_cancelled():
            # Calls before timers: with virtual time a timer would otherwise always win, and every timeout would strike.
            self._poll()
        elif self._timers:
            self._fire(heapq.heappop(self._timers))
        else:
            raise Permanent("the handler waits for something that no call or timer will ever bring")

    def _drop_cancelled(self) -> bool:
        """Forgets calls that nobody waits for any more. Are there any left?"""
        self._calls = [entry for entry in self._calls if not entry[1].done()]
        self._races = [entry for entry in self._races if not entry[2].done()]
        return bool(self._calls or self._races)

    def _resume_ready(self) -> None:
        pollables = self._pollables = [entry for entry in self._pollables if not entry[1].done()]
        if not pollables:
            return
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        # Beside a request time passes in every handler, so that a timeout can end it.
        until = self._timers[0][0] if self._timers else None
        assert self._select is not None, "it came with the first pollable"
        ready = self._select([pollable for pollable, _ in pollables], None if until is None else until - self.time())
        for i in ready:
            pollables[i][1].set_result(None)
        if until is not None and self.time() >= until:
            self._fire(heapq.heappop(self._timers))

    def _poll(self) -> None:
        calls, self._calls = self._calls, []
        races, self._races = self._races, []
        # Nothing resumes before all are asked: what one round asks for must not depend on who resumes first.
        outcomes = self._host.poll([invocation for invocation, _ in calls], None) if calls else []
        race_outcomes = [self._host.poll(invocations, need) for invocations, need, _ in races]
        for (_, future), outcome in zip(calls, outcomes, strict=True):
            assert outcome is not None, "the host must give every outcome of a poll that needs all"
            future.set_result(outcome)
        for (_, _, race), some in zip(races, race_outcomes, strict=True):
            race.set_result(some)

    def _fire(self, entry: tuple[float, int, asyncio.TimerHandle]) -> None:
        when, _, handle = entry
        if handle.cancelled():
            return
        wait = when - self.time()
        if wait > 0:
            self._host.sleep(wait)
        self._ready.append(handle)

    def _cancel_rest(self) -> None:
        """Lets coroutines that outlived the handler clean up, without any more calls."""
        for task in self._tasks:
            task.cancel()
        while self._ready:
            handle = self._ready.popleft()
            if not handle.cancelled():
                try:
                    handle._run()
                except (KeyboardInterrupt, SystemExit):
                    pass  # asyncio lets these two through; the handler has ended already

    # What asyncio's futures, tasks and helpers ask of a loop.

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None, **_: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        # Timers for one moment fire in the order they were set.
        heapq.heappush(self._timers, (when, next(self._timer_order), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer stays in the heap until it is due, then does nothing."""

    def time(self) -> float:
        return self._host.now()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A failure that nobody awaits is no failure of the handler, but `findings` tells of it."""
        if isinstance(error := context.get("exception"), BaseException):
            self._unseen.append((context.get("message") or "an exception in a callback", error))

    async def getaddrinfo(self, *_: Any, **__: Any) -> Any:
        raise sockets.refused()

    create_connection = create_server = create_datagram_endpoint = create_unix_connection = getaddrinfo
    create_unix_server = getnameinfo = sock_connect = sock_recv = sock_sendall = getaddrinfo

    def run_in_executor(self, *_: Any) -> Any:
        raise NotImplementedError("a handler has no threads: call the function itself")

    async def subprocess_exec(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("a handler can't start programs")

    subprocess_shell = subprocess_exec


def current_loop() -> Loop:
    """The loop of the handler that runs. Raises RuntimeError where there is none."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, Loop):
        raise RuntimeError("this needs the event loop that handlers run on; it does not work inside asyncio.run")
    return loop
