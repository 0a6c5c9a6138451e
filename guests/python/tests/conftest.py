import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))

from brrr import handlers, serve  # noqa: E402
from brrr.host import Failure, Invocation, Outcome, Request  # noqa: E402


class Suspended(BaseException):
    """The host drops the instance: some outcomes are not there yet."""


class FakeHost:
    """Answers polls from `answers`; remembers which calls each run asked for together."""

    def __init__(self, answer: Callable[[Invocation], Outcome | None]) -> None:
        self.answer = answer
        self.polls: list[tuple[list[str], int | None]] = []
        self.clock = 1000.0
        self.stopped_at = 1010.0
        self.suspended = False
        self.warnings: list[str] = []

    def poll(self, calls: Sequence[Invocation], need: int | None) -> Sequence[Outcome | None]:
        self.polls.append(([f"{call.task}{call.payload.decode()}" for call in calls], need))
        outcomes: list[Outcome | None] = [self.answer(call) for call in calls]
        present = [i for i, outcome in enumerate(outcomes) if outcome is not None]
        wanted = len(calls) if need is None else need
        if len(present) < wanted:
            self.suspended = True
            raise Suspended
        kept = set(present[:wanted])
        return [outcome if i in kept else None for i, outcome in enumerate(outcomes)]

    def time_left(self) -> float:
        return max(0.0, self.stopped_at - self.clock)

    def now(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "registry", registry := {})
    monkeypatch.setattr(serve, "registry", registry)


def request_for(task: str, payload: bytes = b"[{}]") -> Request:
    return Request(task, payload, "hash", "root", "topic", 1, None)


def fail(task: str, message: str = "boom") -> Failure:
    return Failure("error", task, message, 1, [f"{task}: {message}"])
