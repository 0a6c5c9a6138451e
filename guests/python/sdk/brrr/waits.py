"""What the coroutines of a handler wait for, and which wish of a poll says that."""

from __future__ import annotations

import asyncio
from asyncio import taskgroups
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from types import FunctionType
from typing import Any

from brrr.host import Failure, Invocation, Outcome, Want


class Kind(Enum):
    """What an awaiter wants of the calls that it waits for."""

    ALL = 1
    """All their values; the first failure ends the wait."""
    EACH = 2
    """The outcome of each, whatever it is."""
    RACE = 3
    """So many outcomes as it says."""
    TASK = 4
    """The value of a call that is an asyncio task of its own. It may wait for others like it afterwards."""
    LATER = 5
    """Nothing yet: it has begun the call, and waits for something else, or for nothing."""


class Wait:
    """Calls that one coroutine waits for together."""

    __slots__ = ("asked", "future", "kind", "invocations", "outcomes", "owner", "_missing")

    def __init__(
        self, invocations: Sequence[Invocation], kind: Kind, need: int, future: asyncio.Future[Any]
    ) -> None:
        self.invocations = invocations
        self.kind = kind
        self.outcomes: list[Outcome | None] = [None] * len(invocations)
        self.future = future
        """Gets `outcomes`."""
        self.owner = asyncio.current_task()
        """The asyncio task that waits."""
        self.asked = False
        """Has a poll asked for its calls?"""
        self._missing = need

    @property
    def missing(self) -> int:
        """How many more outcomes end the wait, if none of them is a failure."""
        return self._missing

    def places(self) -> list[int]:
        """Which of its calls have no outcome yet."""
        return [i for i, outcome in enumerate(self.outcomes) if outcome is None]

    def take(self, place: int, outcome: Outcome) -> None:
        """Notes an outcome. What comes beyond the need of a race is left out, as if it had not come yet."""
        if self.future.done():
            return
        self.outcomes[place] = outcome
        self._missing -= 1
        if self._missing == 0 or (self.kind is Kind.ALL and isinstance(outcome, Failure)):
            self.future.set_result(self.outcomes)


@dataclass(frozen=True, slots=True)
class Awaiter:
    """Who goes on once a wait is over."""

    task: object
    """An asyncio task."""
    kind: Kind
    need: int | None = None
    """Of a race: how many outcomes."""


Creators = dict["asyncio.Task[Any]", "asyncio.Task[Any] | None"]
"""Asyncio tasks, each with the one that made it."""


def wanted(waits: list[Wait], creators: Creators) -> tuple[list[Wait], Want, list[Wait]]:
    """The waits that the next poll has to ask for, and its wish; and those that nobody waits for just now."""
    known: dict[object, Awaiter | None] = {}
    found = [(wait, _awaiter_of(wait, creators, known)) for wait in waits]
    held = [(wait, awaiter) for wait, awaiter in found if awaiter is not None]
    waits = [wait for wait, _ in held]
    return waits, _want([awaiter for _, awaiter in held], waits), [wait for wait, awaiter in found if awaiter is None]


def _want(awaiters: Sequence[Awaiter], waits: Iterable[Wait]) -> Want:
    if len({id(awaiter.task) for awaiter in awaiters}) > 1:
        return "progress"
    match {(awaiter.kind, awaiter.need) for awaiter in awaiters}:
        case wishes if len(wishes) == 1:
            ((kind, need),) = wishes
            if kind is Kind.EACH:
                return sum(len(wait.places()) for wait in waits)
            return "all" if need is None else need
        case wishes if wishes == {(Kind.TASK, None), (Kind.LATER, None)}:
            # `tasks = [create_task(call) …]`, then `await` for one after the other: as if they were gathered.
            return "all"
        case _:
            # What it waits for need not wait for what it has begun beside that.
            return "progress"


def _awaiter_of(wait: Wait, creators: Creators, known: dict[object, Awaiter | None]) -> Awaiter | None:
    """Who waits for a wait's calls; None: nobody just now. known: what was found behind callbacks that many waits share."""
    owner = wait.owner
    if owner is None or not hasattr(owner.get_coro(), "invocation"):
        return Awaiter(owner, wait.kind, wait.missing if wait.kind is Kind.RACE else None)
    # An asyncio task that is a call and nothing else, which `gather`, a group or `create_task` made of it. It ends with the
    # call, so what counts is who waits for the task.
    creator = creators.get(owner)
    callbacks = _callbacks(owner)
    if not callbacks:
        # Whoever made it has not waited for it yet, and may do so later. If it was asked for already, it lost a race, or was
        # left behind by a failure or a time limit: then the next poll must not wait for it.
        return None if wait.asked else Awaiter(creator, Kind.LATER)
    for callback in callbacks:
        if not isinstance(callback, FunctionType):
            awaiter = _awaiter_behind(callback, creator)
        elif callback in known:
            awaiter = known[callback]
        else:
            awaiter = known[callback] = _awaiter_behind(callback, creator)
        if awaiter is not None:
            return awaiter
    return None


def _awaiter_behind(callback: Any, creator: object) -> Awaiter | None:
    # asyncio has no public way to ask this. What is not as expected is taken for something of the creator's.
    bound = getattr(callback, "__self__", None)
    if isinstance(bound, asyncio.Task):
        return Awaiter(bound, Kind.TASK)
    if isinstance(bound, taskgroups.TaskGroup):
        waits = getattr(bound, "_exiting", True)
        return Awaiter(getattr(bound, "_parent_task", creator), Kind.ALL if waits else Kind.LATER)
    name = getattr(callback, "__qualname__", "")
    if name == "_AsCompletedIterator._handle_completion" or name == "as_completed.<locals>._on_completion":
        return Awaiter(creator, Kind.RACE, 1)
    inner = _enclosed(callback)
    if name == "gather.<locals>._done_callback" and isinstance(outer := inner.get("outer"), asyncio.Future):
        kind = Kind.EACH if inner.get("return_exceptions") else Kind.ALL
        return None if outer.done() else Awaiter(_task_behind(outer, creator), kind)
    if name == "_wait.<locals>._on_completion" and isinstance(waiter := inner.get("waiter"), asyncio.Future):
        task = _task_behind(waiter, creator)
        match inner.get("return_when"):
            case asyncio.FIRST_COMPLETED:
                return Awaiter(task, Kind.RACE, 1)
            case asyncio.FIRST_EXCEPTION:
                return Awaiter(task, Kind.ALL)
            case _:
                return Awaiter(task, Kind.EACH)
    return Awaiter(creator, Kind.ALL)


def _task_behind(future: asyncio.Future[Any], creator: object) -> object:
    """The asyncio task that waits for a future."""
    for callback in _callbacks(future):
        if isinstance(task := getattr(callback, "__self__", None), asyncio.Task):
            return task
    return creator


def _callbacks(future: asyncio.Future[Any]) -> list[Any]:
    return [callback for callback, _ in getattr(future, "_callbacks", None) or ()]


def _enclosed(function: Any) -> dict[str, Any]:
    """The variables of the functions around an inner one that it uses."""
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    found = {}
    for name, cell in zip(names, getattr(function, "__closure__", None) or ()):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            pass  # It has no value yet.
    return found
