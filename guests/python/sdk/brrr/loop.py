"""An event loop that waits for calls.

It runs the handler's coroutines until all of them wait, then waits for what WASI has for them, then asks for every call
that is waited for in one `poll`, which ends at the earliest timer, and so on. A replay sees the same outcomes and the same
clock at each poll, so it makes the same polls. Because it is an asyncio loop, `asyncio.gather`, `TaskGroup`, `timeout`, locks
and queues all work.
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
from brrr.errors import PermanentError
from brrr.host import Host, Invocation, Outcome, Want
from brrr.waits import Creators, Kind, Wait, wanted

T = TypeVar("T")
_Select = Callable[[Sequence[Any], float | None], Sequence[int]]
"""Waits until some of WASI's pollables are ready, or for so many seconds; gives their indices."""

_TICK = 1e-6
"""Seconds. A timer is due this much before its time: sums of floating-point numbers are less exact than the host's clock."""

_LONGEST = 1e9
"""Seconds, 30 years: clocks can't say what is much later. The time of a longer timer is asked for again when they are over."""


# As `Any`: the type stubs want all 50 methods of a loop, of which most have no meaning here and raise.
_AnyLoop: Any = asyncio.AbstractEventLoop


class Loop(_AnyLoop):  # type: ignore[misc]
    """One handler's event loop. There is nothing to wait for but calls, timers and HTTP: no sockets, no threads."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_order = itertools.count()
        self._around: asyncio.AbstractEventLoop | None = None
        """The loop that runs already. Only in tests: the handler of a call runs while its parent's loop waits for it."""
        self._waits: list[Wait] = []
        self._pollables: list[tuple[Any, asyncio.Future[None]]] = []
        self._select: _Select | None = None
        self._tasks: Creators = {}
        self._unseen: list[tuple[str, BaseException]] = []

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs `main` to its end: what it returned, or what it raised. Then the caller has to `close` the loop."""
        self._around = events._get_running_loop()
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
            events._set_running_loop(self._around)

    def never_asked(self) -> list[str]:
        """The tasks of the calls that somebody began to wait for, and that no poll has asked for."""
        waits = [wait for wait in self._waits if not (wait.asked or wait.future.done())]
        return [invocation.task for wait in waits for invocation in wait.invocations]

    def unseen_failures(self) -> list[tuple[str, BaseException]]:
        """What failed while nobody waited for it: where, and with what."""
        # asyncio has this flag for its own message, "Task exception was never retrieved".
        tasks = [task for task in self._tasks if getattr(task, "_log_traceback", False)]
        failed = [(f"the asyncio task {task.get_name()}", task.exception()) for task in tasks]
        return [*self._unseen, *((where, error) for where, error in failed if error is not None)]

    def wait_for(
        self, invocations: Sequence[Invocation], kind: Kind = Kind.ALL, need: int | None = None
    ) -> asyncio.Future[list[Outcome | None]]:
        """Lets the next polls ask for the calls, until what `kind` says is there. need: all of them, unless it is a race."""
        future: asyncio.Future[list[Outcome | None]] = self.create_future()
        need = len(invocations) if need is None else need
        if need == 0:
            future.set_result([None] * len(invocations))
        else:
            self._waits.append(Wait(invocations, kind, need, future))
        return future

    def ask(self, invocation: Invocation) -> Outcome:
        """The outcome of a call that the host answers at once."""
        (outcome,) = self._host.poll([invocation], "all", None)
        assert outcome is not None, "the host answers it at once"
        return outcome

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
        elif (due := self._next_timer()) is not None and due <= self.time() + _TICK:
            # Only when nothing is ready: what a poll has brought goes all its way before a time limit strikes.
            self._ready.append(heapq.heappop(self._timers)[2])
        else:
            self._wait(due)

    def _wait(self, due: float | None) -> None:
        """Waits for calls, or for the time `due`."""
        self._waits = [wait for wait in self._waits if not wait.future.done()]
        held, want, left = wanted(self._waits, self._tasks)
        if held:
            self._poll(held, want, None if due is None else self._unix_ms(due))
        elif due is not None:
            self._host.sleep(self._until(due))
        elif left:
            self._poll(left, "progress", None)
            return
        else:
            raise PermanentError("the handler waits for something that no call or timer will ever bring")
        if left:
            # Without waiting: somebody may ask whether they are done.
            self._poll(left, "progress", self._host.unix_us() // 1000)

    def _poll(self, waits: list[Wait], want: Want, until: int | None) -> None:
        places = [(wait, place) for wait in waits for place in wait.places()]
        outcomes = self._host.poll([wait.invocations[place] for wait, place in places], want, until)
        for wait in waits:
            wait.asked = True
        for (wait, place), outcome in zip(places, outcomes, strict=True):
            if outcome is not None:
                wait.take(place, outcome)
        if until is None or until > self._host.unix_us() // 1000:
            assert any(outcome is not None for outcome in outcomes), "a poll ended without an outcome, and before its time"

    def _unix_ms(self, due: float) -> int:
        """A time of this loop as Unix time in milliseconds, rounded up."""
        # In whole microseconds: the last digits of a sum of floating-point numbers may differ from run to run.
        return -(-(self._host.unix_us() + round(self._until(due) * 1e6)) // 1000)

    def _until(self, due: float) -> float:
        """The seconds until then. None are left if the time passes meanwhile."""
        return min(max(due - self.time(), 0.0), _LONGEST)

    def _next_timer(self) -> float | None:
        """When the earliest timer is due."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _resume_ready(self) -> None:
        pollables = self._pollables = [entry for entry in self._pollables if not entry[1].done()]
        if not pollables:
            return
        # Beside a request time passes in every handler, so that a timeout can end it.
        until = self._next_timer()
        assert self._select is not None, "it came with the first pollable"
        ready = self._select([pollable for pollable, _ in pollables], None if until is None else until - self.time())
        for i in ready:
            pollables[i][1].set_result(None)
        if until is not None and self.time() >= until:
            self._ready.append(heapq.heappop(self._timers)[2])

    def _cancel_rest(self) -> None:
        """Lets coroutines that outlived the handler clean up, without any more calls."""
        for task in list(self._tasks):
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
        self._tasks[task] = asyncio.current_task(self)
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
