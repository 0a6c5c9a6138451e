"""Sends a request until there is an answer that counts."""

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
"""Seconds. A gateway asks for a few; a proxy that asks for an hour must not stop a program for an hour."""

NO_ANSWER_YET = {408, 502, 503, 504}
"""The gateway says 408 and 503, a proxy before it 502, 503 and 504. What was asked may be asked again."""

NOT_DONE = {"too-slow", "busy"}
"""The names of answers after which surely nothing was done."""


class Repeat(Enum):
    """When a request may be sent again."""

    ALWAYS = auto()
    """To do it twice is the same as to do it once."""
    UNDONE = auto()
    """Only when the gateway can't have done it."""


def exchange(
    settings: Settings, request: Request, repeat: Repeat = Repeat.ALWAYS, until: float | None = None
) -> Operation[Answer]:
    """The answer to a request. Raises ApiError if it is a refusal, ConnectionFailedError if there is none."""
    answer, _ = yield from attempts(settings, request, repeat, until)
    if answer.status >= 300:
        raise error_of(answer)
    return answer


def attempts(
    settings: Settings, request: Request, repeat: Repeat = Repeat.ALWAYS, until: float | None = None
) -> Operation[tuple[Answer, bool]]:
    """The answer to a request, whatever it is, and whether an earlier attempt may have done already what was asked.

    until: the time (of time.monotonic) after which it is not sent again.
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
    """Can the gateway have done what the request asks for?"""
    if isinstance(outcome, Broken):
        return outcome.sent
    return error_of(outcome).name not in NOT_DONE


def failed(request: Request, outcome: Answer | Broken, failures: int, maybe_done: bool) -> BrrrError:
    """The error for the last of several failures."""
    if isinstance(outcome, Answer):
        return error_of(outcome)
    times = "1 attempt" if failures == 1 else f"{failures} attempts"
    return ConnectionFailedError(
        f"{request.method} {request.path}: no answer after {times}: {outcome.error or type(outcome.error).__name__}"
        + ("; it may have been done" if maybe_done and request.method != "GET" else "")
    )


def cause(outcome: Answer | Broken) -> Exception | None:
    """The exception that an error came from."""
    return outcome.error if isinstance(outcome, Broken) else None


def pause_before(failures: int, outcome: Answer | Broken | None) -> float:
    """How many seconds to wait after so many failures: twice as long each time, and not at the same time as others."""
    length = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE) * random.uniform(0.5, 1)
    if isinstance(outcome, Answer):
        asked = outcome.headers.get("retry-after", "")
        if asked.isascii() and asked.isdigit():
            length += min(float(asked), LONGEST_RETRY_AFTER)
    return length
