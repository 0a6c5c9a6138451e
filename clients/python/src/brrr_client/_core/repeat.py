"""Repeats a request when the network or the gateway fails."""

from __future__ import annotations

import random
import time
from enum import Enum, auto

from brrr_client._core.problems import error_of
from brrr_client._core.settings import Settings
from brrr_client._core.steps import Answer, Broken, Operation, Request, pause, send
from brrr_client.errors import BrrrError, ConnectionFailedError

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
LONGEST_RETRY_AFTER = 60.0
"""Seconds. A gateway asks for a few seconds. A proxy may ask for an hour, and must not stop a program for an hour."""

NO_ANSWER_YET = {408, 502, 503, 504}
"""Statuses after which a request may be repeated. The gateway sends 408 and 503. A proxy before it sends 502, 503 and 504."""

NOT_DONE = {"too-slow", "busy"}
"""The names of problems in which the gateway refused the request before it did anything."""


class Repeat(Enum):
    """When a request may be repeated."""

    ALWAYS = auto()
    """Two requests have the same effect as one."""
    UNDONE = auto()
    """Only if the gateway did nothing for the requests before."""


def exchange(
    settings: Settings, request: Request, repeat: Repeat = Repeat.ALWAYS, until: float | None = None
) -> Operation[Answer]:
    """Returns the answer to a request. Raises ApiError if the gateway refuses, ConnectionFailedError if no answer comes."""
    answer, _ = yield from attempts(settings, request, repeat, until)
    if answer.status >= 300:
        raise error_of(answer)
    return answer


def attempts(
    settings: Settings, request: Request, repeat: Repeat = Repeat.ALWAYS, until: float | None = None
) -> Operation[tuple[Answer, bool]]:
    """Returns the answer to a request, which may be a refusal. Also returns: may an earlier attempt have had the effect?

    until: after this time (of time.monotonic) the request is not repeated.
    """
    maybe_done = False
    failures = 0
    while True:
        outcome = yield from send(request)
        if isinstance(outcome, Answer) and outcome.status not in NO_ANSWER_YET:
            return outcome, maybe_done
        failures += 1
        maybe_done = maybe_done or may_be_done(outcome)
        late = until is not None and time.monotonic() >= until
        if failures > settings.retries or late or (repeat is Repeat.UNDONE and maybe_done):
            raise failed(request, outcome, failures, maybe_done) from cause(outcome)
        length = pause_before(failures, outcome)
        if until is not None:
            length = min(length, max(until - time.monotonic(), 0))
        yield from pause(length)


def may_be_done(outcome: Answer | Broken) -> bool:
    """May the request have had its effect?"""
    if isinstance(outcome, Broken):
        return outcome.sent
    return error_of(outcome).name not in NOT_DONE


def failed(request: Request, outcome: Answer | Broken, failures: int, maybe_done: bool) -> BrrrError:
    """The error to raise after the last attempt."""
    if isinstance(outcome, Answer):
        return error_of(outcome)
    times = "1 attempt" if failures == 1 else f"{failures} attempts"
    return ConnectionFailedError(
        f"{request.method} {request.path}: no answer after {times}: {outcome.error or type(outcome.error).__name__}"
        + ("; the gateway may have received the request" if maybe_done and request.method != "GET" else "")
    )


def cause(outcome: Answer | Broken) -> Exception | None:
    """The exception of the network, if the network failed."""
    return outcome.error if isinstance(outcome, Broken) else None


def pause_before(failures: int, outcome: Answer | Broken | None) -> float:
    """The seconds before the next attempt. They double with each failure. They are random, so that clients do not all come back
    at the same moment."""
    length = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE) * random.uniform(0.5, 1)
    if isinstance(outcome, Answer):
        asked = outcome.headers.get("retry-after", "")
        if asked.isascii() and asked.isdigit():
            length += min(float(asked), LONGEST_RETRY_AFTER)
    return length
