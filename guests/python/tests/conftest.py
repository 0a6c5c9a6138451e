import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))

from brrr import handlers, serve  # noqa: E402
from brrr.host import Failure, Invocation, Outcome, Request, Want  # noqa: E402


class Suspended(BaseException):
    """The host drops the instance: some outcomes are not there yet."""


@dataclass(frozen=True)
class Poll:
    """What a handler asked for together."""

    calls: list[str]
    want: Want
    until: float | None
    """Seconds from then."""


class FakeHost:
    """Answers polls from `answers`, by the rules of the WIT; remembers what each run asked for together.

    An answer of None is not there yet. What is wanted and not there suspends the run, unless the poll has a time: then the clock
    moves there.
    """

    def __init__(self, answer: Callable[[Invocation], Outcome | None]) -> None:
        self.answer = answer
        self.polls: list[Poll] = []
        self.slept: list[float] = []
        self.clock = 1000.0
        self.stopped_at = 1010.0
        self.suspended = False
        self.warnings: list[str] = []

    def poll(self, calls: Sequence[Invocation], want: Want, until: int | None) -> Sequence[Outcome | None]:
        names = [f"{call.task}{call.payload.decode()}" for call in calls]
        left = None if until is None else round(until / 1000 - self.clock - EPOCH, 3)
        self.polls.append(Poll(names, want, left))
        outcomes: list[Outcome | None] = [self.answer(call) for call in calls]
        present = [i for i, outcome in enumerate(outcomes) if outcome is not None]
        failed = any(isinstance(outcome, Failure) for outcome in outcomes)
        if isinstance(want, int):
            enough = len(present) >= want
            present = present[:want] if enough else present
        else:
            enough = len(present) == len(calls) or failed or (want == "progress" and bool(present))
        if not enough and until is None:
            self.suspended = True
            raise Suspended
        if not enough:
            self.clock = max(self.clock, until / 1000 - EPOCH)
        return [outcome if i in present else None for i, outcome in enumerate(outcomes)]

    def time_left(self) -> float:
        return max(0.0, self.stopped_at - self.clock)

    def now(self) -> float:
        return self.clock

    def unix_us(self) -> int:
        return round((self.clock + EPOCH) * 1e6)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock += seconds

    def warn(self, message: str) -> None:
        self.warnings.append(message)


EPOCH = 1_700_000_000
"""Unix time at the beginning of the fake clock."""


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "registry", registry := {})
    monkeypatch.setattr(serve, "registry", registry)


def request_for(task: str, payload: bytes = b"[{}]") -> Request:
    return Request(task, payload, "hash", "job", "topic", 1, None)


def fail(task: str, message: str = "boom") -> Failure:
    return Failure("error", task, message, 1, [f"{task}: {message}"])
