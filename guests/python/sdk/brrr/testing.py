"""Runs handlers in a plain Python, for unit tests: no component, no worker, and no time passes.

    from brrr.testing import FakeHost, after

    def test_dice():
        host = FakeHost(children={"roll": lambda nth: nth + 3, "slow": after(60, "late")}, promises={"approval": True})
        assert host.run(dice, count=2) == {"rolls": [3, 4], "sum": 7}
        assert host.calls == [("roll", {"nth": 0}), ("roll", {"nth": 1})]

`brrr-host test` tries the same handlers as components, in every order and with replays.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from brrr import codec, handlers, serve
from brrr.app import DETACHED, PROMISE
from brrr.errors import CallFailedError
from brrr.handlers import Task
from brrr.host import Failure, Invocation, Outcome, Request, Want

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class After:
    """What a call gives once it has taken its time."""

    seconds: float
    value: Any


def after(seconds: float, value: Any) -> After:
    """What a call gives, or what answers a promise, so many seconds after it was waited for the first time."""
    return After(seconds, value)


def rejected(message: str, details: Any = None) -> CallFailedError:
    """The answer to a promise that is rejected."""
    encoded = None if details is None else codec.encode_result(details)
    return CallFailedError(Failure("rejected", PROMISE, message, 1, [message], encoded))


class FakeHost:
    """Answers the calls of the handlers that it runs.

    children: what calls give, by task (or its name): a value, an exception that they fail with, or a function that is called
    with their arguments and returns or raises it; each of them perhaps with a time, by `after`. Calls of other tasks are run.
    A detached job (`app.spawn`) is not run: it gets an id, and is noted in `spawned`.
    promises: the answers to promises, by name, in the same forms. One that has none is never answered.
    now: the time at which handlers begin. A sleep moves it, and takes no time.
    """

    def __init__(
        self,
        children: Mapping[Task[..., Any] | str, Any] | None = None,
        promises: Mapping[str, Any] | None = None,
        now: datetime = datetime(2030, 1, 1, tzinfo=UTC),
    ) -> None:
        names = {task if isinstance(task, str) else task.name: given for task, given in (children or {}).items()}
        self._children = names
        self._promises = dict(promises or {})
        self._began = now.timestamp()
        self.seconds = 0.0
        """How much time has passed for the handlers."""
        self.calls: list[tuple[str, Any]] = []
        """The calls that were made: task, and arguments by name (of raw calls the bytes); each once, in order."""
        self.spawned: list[tuple[str, Any]] = []
        """The detached jobs that were started, in the same form; the n-th has the id n, as 32 hexadecimal digits."""
        self._answers: dict[object, tuple[float, Outcome | None]] = {}

    def run(self, task: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What the handler returns, after a way through JSON. Raises what it raises; AssertionError if the SDK finds a mistake."""
        if task.raw:
            payload: bytes = args[0]  # type: ignore[assignment]
        else:
            payload = codec.encode_arguments(task.signature.named(task.name, args, kwargs))
        run = _Run(self, self.seconds)
        try:
            result = serve.run(task, _request(task.name, payload), run)
        finally:
            self.seconds = max(self.seconds, run.seconds)
        if run.warnings:
            raise AssertionError("\n".join(run.warnings))
        if task.raw:
            return result  # type: ignore[return-value]
        value: R = task.signature.convert_result(codec.decode_result(result))
        return value

    def answer(self, call: Invocation, now: float) -> tuple[float, Outcome | None]:
        """When a call that is asked for now is answered, and with what. What was asked for before is the same call."""
        if DETACHED in call.options:
            self.spawned.append((call.task, _arguments(call)))
            return now, codec.encode_result(f"{len(self.spawned):032x}")
        key = (call.task, call.payload, call.topic) if call.call_hash is None else call.call_hash
        if key not in self._answers:
            self._answers[key] = self._new_answer(call, now)
        return self._answers[key]

    def _new_answer(self, call: Invocation, now: float) -> tuple[float, Outcome | None]:
        if call.task == PROMISE:
            name = call.payload.decode()
            return self._given(self._promises[name], call, now) if name in self._promises else (math.inf, None)
        self.calls.append((call.task, _arguments(call)))
        if call.task in self._children:
            return self._given(self._children[call.task], call, now)
        if call.task not in handlers.registry:
            raise AssertionError(f"the handler calls {call.task}, which is no handler here, and no child of this FakeHost")
        run = _Run(self, now)
        match serve.handle(_request(call.task, call.payload), run):
            case serve.ChildFailed(failure):
                outcome: Outcome = failure
            case serve.Retryable(message, details) | serve.Lasting(message, details):
                outcome = Failure("error", call.task, message, 1, [f"{call.task}: {message}"], details)
            case result:
                outcome = result
        return run.seconds, outcome

    def _given(self, given: Any, call: Invocation, now: float) -> tuple[float, Outcome | None]:
        if isinstance(given, After):
            return self._given(given.value, call, now + given.seconds)
        if callable(given) and not isinstance(given, type):
            args, kwargs = ([], {}) if call.task == PROMISE else codec.decode_args(call.payload)
            try:
                given = given(*args, **kwargs)
            except Exception as error:
                given = error
            return self._given(given, call, now)
        if isinstance(given, CallFailedError):
            return now, given.failure
        if isinstance(given, Exception):
            return now, Failure("error", call.task, str(given), 1, [f"{call.task}: {given}"])
        return now, given if isinstance(given, bytes) else codec.encode_result(given)

    def unix_us(self, seconds: float) -> int:
        """Unix time in microseconds, so long after the beginning."""
        return round((self._began + seconds) * 1e6)


class _Run:
    """The host of one handler."""

    def __init__(self, host: FakeHost, seconds: float) -> None:
        self._host = host
        self.seconds = seconds
        self.warnings: list[str] = []

    def poll(self, calls: Sequence[Invocation], want: Want, until: int | None) -> Sequence[Outcome | None]:
        answers = [self._host.answer(call, self.seconds) for call in calls]
        times = sorted(max(time, self.seconds) for time, _ in answers)
        if isinstance(want, int):
            ready = times[want - 1]
        else:
            failed = [max(time, self.seconds) for time, outcome in answers if isinstance(outcome, Failure)]
            ready = min([times[0] if want == "progress" else times[-1], *failed])
        ended = math.inf if until is None else self.seconds + (until - self._host.unix_us(self.seconds) / 1000) / 1000
        if math.isinf(ready) and math.isinf(ended):
            names = ", ".join(json.dumps(call.payload.decode()) for call in calls if call.task == PROMISE)
            raise AssertionError(f"the handler waits for ever for promises that have no answer: {names}")
        self.seconds = max(self.seconds, min(ready, ended))
        places = sorted((max(time, 0.0), i) for i, (time, _) in enumerate(answers) if time <= self.seconds)
        chosen = {i for _, i in (places[:want] if isinstance(want, int) else places)}
        return [outcome if i in chosen else None for i, (_, outcome) in enumerate(answers)]

    def time_left(self) -> float:
        return 86_400.0

    def now(self) -> float:
        return self.seconds

    def unix_us(self) -> int:
        return self._host.unix_us(self.seconds)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def _arguments(call: Invocation) -> Any:
    try:
        return codec.decode_args(call.payload)[1]
    except ValueError:
        return call.payload


def _request(task: str, payload: bytes) -> Request:
    return Request(task, payload, f"hash of {task}", "job", "test", 1, None)
