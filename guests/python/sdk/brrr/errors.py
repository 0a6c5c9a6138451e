"""What can go wrong in a handler, and how it looks to the host."""

from __future__ import annotations

import linecache
import os
import traceback
from types import TracebackType

from brrr.host import Failure

FRAMES = 6
"""Frames of a traceback that are shown: the place, and how one got there."""

_OWN_FOLDERS = (os.path.dirname(__file__), os.path.dirname(os.__file__))


class CallFailed(Exception):
    """A called task ended without a value.

    Catch it to go on; uncaught, it fails the calling task too, with the same first cause, and without that task being
    retried for it.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.kind = failure.kind
        """error, trap, timeout, limit, cancelled, nondeterminism, cycle, unknown-task, dead-letter; more may come."""
        self.task = failure.task
        """The task that failed."""
        self.message = failure.message
        self.attempts = failure.attempts
        """How often its handler was run."""
        self.chain = list(failure.chain)
        """One line a call, from the failed one down to the first cause."""


class Permanent(Exception):
    """Raised by a handler whose task will fail however often it is run: it is not retried.

    Any other exception is, as often as the options of the call or its task say.
    """


def permanent(error: BaseException) -> Permanent | None:
    """The `Permanent` that `error` is, or contains: a TaskGroup, which needs all its tasks, wraps what it collects."""
    if isinstance(error, Permanent):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(permanent, error.exceptions)), None)
    return None


def child_failure(error: BaseException) -> Failure | None:
    """The child's failure that `error` is, or consists of: a TaskGroup wraps what it collects."""
    if isinstance(error, CallFailed):
        return error.failure
    if isinstance(error, BaseExceptionGroup) and error.exceptions:
        failures = [child_failure(inner) for inner in error.exceptions]
        return failures[0] if all(failures) else None
    return None


def describe(error: BaseException) -> str:
    """The error's type and message, then the innermost frames of the user's code, innermost first."""
    head = "".join(traceback.format_exception_only(error)).rstrip()
    return "\n".join([head, *_user_frames(error.__traceback__)[:FRAMES]])


def _user_frames(tb: TracebackType | None) -> list[str]:
    # By hand: the traceback module drops the cached source of files that are gone, and inside a component all are.
    frames = []
    for frame, line in traceback.walk_tb(tb):
        code = frame.f_code
        if code.co_filename.startswith(("<", *_OWN_FOLDERS)) and "site-packages" not in code.co_filename:
            continue
        source = linecache.getline(code.co_filename, line).strip()
        place = f"  at {code.co_qualname} ({os.path.basename(code.co_filename)}:{line})"
        frames.append(f"{place}: {source}" if source else place)
    return frames[::-1]
