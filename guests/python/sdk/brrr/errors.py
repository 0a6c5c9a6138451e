"""What can go wrong in a handler, and how it looks to the host."""

from __future__ import annotations

from dataclasses import replace

from brrr.host import Failure
from brrr.text import clean


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


# Tracebacks show them by the names that handlers use.
CallFailed.__module__ = Permanent.__module__ = "brrr"


def is_permanent(error: BaseException) -> bool:
    """Is `error` a `Permanent`, or does it contain one? A TaskGroup, which needs all its tasks, wraps what it collects."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_permanent, error.exceptions))
    return isinstance(error, Permanent)


def child_failure(error: BaseException) -> Failure | None:
    """The child's failure that `error` is, or consists of: a TaskGroup wraps what it collects.

    Of several, the first one counts; the message names the others, and has the notes of all.
    """
    failed = _failed_calls(error)
    if not failed:
        return None
    first = failed[0].failure
    lines = [clean(first.message)]
    told = [first]
    for failure in (each.failure for each in failed):
        if failure not in told:
            told.append(failure)
            lines.append(f"a call of {failure.task} failed too: {failure.kind}: {failure.message}")
    return replace(first, message="\n".join([*lines, *_notes(error)]))


def _failed_calls(error: BaseException) -> list[CallFailed]:
    """The failed calls that `error` consists of; none if there is another error among them."""
    if isinstance(error, CallFailed):
        return [error]
    if not isinstance(error, BaseExceptionGroup):
        return []
    parts = [_failed_calls(inner) for inner in error.exceptions]
    return [each for part in parts for each in part] if all(parts) else []


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", None)
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    own = map(str, notes if isinstance(notes, (list, tuple)) else ())
    return [*own, *(note for each in inner for note in _notes(each))]
