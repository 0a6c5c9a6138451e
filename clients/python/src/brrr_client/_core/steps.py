"""What an operation asks for, and what it gets."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Request:
    """Send this once. The reply is an `Answer` or a `Broken`."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None
    read_timeout: float | None = None
    """How many seconds the answer may be silent. None: as long as the settings say."""


@dataclass(frozen=True)
class Open:
    """Send this, and keep the body of a 200 for `Read`. The reply is an `Answer`, without that body, or a `Broken`."""

    request: Request


@dataclass(frozen=True)
class Read:
    """Read the next bytes of what was opened. The reply is bytes, None at the end, or a `Broken`."""


@dataclass(frozen=True)
class Pause:
    """Wait. The reply is None."""

    seconds: float


@dataclass(frozen=True)
class Give(Generic[T_co]):
    """Hand this to the user. The reply is None."""

    item: T_co


@dataclass(frozen=True)
class Answer:
    """What the gateway said."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Broken:
    """There was no answer, or no whole one."""

    error: Exception
    sent: bool
    """Can the gateway have got the request?"""


Reply = Answer | Broken | bytes | None
Operation = Generator[Request | Pause, Reply, T]
Listing = Generator[Request | Pause | Open | Read | Give[T], Reply, None]


def send(request: Request) -> Operation[Answer | Broken]:
    """Sends a request once."""
    reply = yield request
    assert isinstance(reply, (Answer, Broken))
    return reply


def pause(seconds: float) -> Operation[None]:
    """Waits."""
    yield Pause(seconds)
