"""The host as the SDK sees it: `component` implements it with the WIT imports, tests with a fake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call to another task."""

    task: str
    payload: bytes
    topic: str | None = None
    """The queue that serves the task; None: the one on which this very call arrived."""
    call_hash: str | None = None
    """The call's identity; None: the host derives one from task and payload."""
    options: Sequence[tuple[str, str]] = ()
    """How the call is run, in place of what its task says: pairs of an option and its value as text."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that ended without a value."""

    kind: str
    """error, rejected, trap, timeout, limit, cancelled, nondeterminism, conflict, cycle, unknown-task, dead-letter; more may
    come."""
    task: str
    message: str
    attempts: int
    """How often the handler was run for it."""
    chain: Sequence[str]
    """One line a call, from this one down to the first cause."""
    details: bytes | None = None
    """What the handler attached to its error, in the encoding of results."""


@dataclass(frozen=True, slots=True)
class Request:
    """What this run was asked to do."""

    task: str
    payload: bytes
    call_hash: str
    job_id: str
    """The job on whose behalf the call runs."""
    topic: str
    attempt: int
    """1 for the first attempt; replays of one attempt have the same number."""
    deadline_ms: int | None
    """Unix time in milliseconds by which the call must have ended: the job's deadline, if it has one; of a leaf also
    that of this run."""


Outcome = bytes | Failure

Want = Literal["all", "progress"] | int
"""When a poll returns: when all outcomes are there, or one is a failure; when the host finds that some are worth another run;
when so many are there."""


class Host(Protocol):
    """What the event loop needs of its surroundings."""

    def poll(self, calls: Sequence[Invocation], want: Want, until: int | None) -> Sequence[Outcome | None]:
        """One outcome a call, or None for what is not there yet. Does not return before there is what is wanted, or the
        Unix time `until`, in milliseconds, has passed."""
        ...

    def time_left(self) -> float:
        """Seconds until this run is stopped."""
        ...

    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def unix_us(self) -> int:
        """Unix time in whole microseconds. It moves with `now`."""
        ...

    def sleep(self, seconds: float) -> None:
        """Does not return in a run that has to wait: another run goes on when the time has come. A leaf sleeps where it is."""
        ...

    def warn(self, message: str) -> None:
        """Logs a message at level warn, whatever the handler's own logging is set to."""
        ...
