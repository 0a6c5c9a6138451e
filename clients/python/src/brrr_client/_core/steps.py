"""The steps of operations, and their outcomes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Request:
    """Sends a request once. The outcome is an `Answer` or a `Broken`."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None
    read_timeout: float | None = None
    """The most seconds without a byte of the answer. None: the timeout of the settings."""


@dataclass(frozen=True)
class Open:
    """Sends a request, and keeps the body of the answer for `Read` if the status is 200. The outcome is an `Answer` without that
    body, or a `Broken`."""

    request: Request


@dataclass(frozen=True)
class Read:
    """Reads the next bytes of the body. The outcome is bytes, None at the end of the body, or a `Broken`."""


@dataclass(frozen=True)
class Pause:
    """Waits. The outcome is None."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Runs a function that blocks. The outcome is a `Done`. What the function raises ends the operation."""

    run: Callable[[], object]


@dataclass(frozen=True)
class Done:
    """What a function returned."""

    value: Any


@dataclass(frozen=True)
class Give(Generic[T_co]):
    """Gives an item to the caller of the client. The outcome is None."""

    item: T_co


@dataclass(frozen=True)
class Answer:
    """An answer of the gateway."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Broken:
    """The network failed before the answer was complete."""

    error: Exception
    sent: bool
    """May the gateway have received the request?"""


Reply = Answer | Broken | Done | bytes | None
Operation = Generator[Request | Pause | Work, Reply, T]
Listing = Generator[Request | Pause | Work | Open | Read | Give[T], Reply, None]


def send(request: Request) -> Operation[Answer | Broken]:
    """Sends a request once."""
    reply = yield request
    assert isinstance(reply, (Answer, Broken))
    return reply


def work(run: Callable[[], T]) -> Operation[T]:
    """Runs a function that blocks."""
    reply = yield Work(run)
    assert isinstance(reply, Done)
    value: T = reply.value
    return value


def pause(seconds: float) -> Operation[None]:
    """Waits."""
    yield Pause(seconds)
