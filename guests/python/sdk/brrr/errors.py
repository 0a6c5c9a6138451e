"""What can go wrong in a handler, and how it looks to the host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from brrr import codec
from brrr.host import Failure
from brrr.text import clean


class CallFailedError(Exception):
    """A called task ended without a value, or a promise was rejected.

    Catch it to go on; uncaught, it fails the calling task too, with the same first cause, and without that task being
    retried for it.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.kind = failure.kind
        """error, rejected, trap, timeout, limit, cancelled, nondeterminism, conflict, cycle, unknown-task, dead-letter; more may
        come."""
        self.task = failure.task
        """The task that failed."""
        self.message = failure.message
        self.attempts = failure.attempts
        """How often its handler was run."""
        self.chain = list(failure.chain)
        """One line a call, from the failed one down to the first cause."""

    @property
    def details(self) -> Any:
        """What the handler attached to its error, or None. Bytes that are no JSON are given as they are."""
        if self.failure.details is None:
            return None
        try:
            return codec.decode_result(self.failure.details)
        except (ValueError, RecursionError):
            return self.failure.details


class _OwnError(Exception):
    """An error that a handler raises, with something for the program of whoever called its task."""

    def __init__(self, *args: object, details: Any = None) -> None:
        """details: any value that JSON has; a caller finds it as `CallFailedError.details`."""
        super().__init__(*args)
        self.details = details


class PermanentError(_OwnError):
    """Raised by a handler whose task will fail however often it is run: it is not retried."""


class RetryableError(_OwnError):
    """Raised by a handler whose task may succeed if it is run again, as often as the options of the call or its task say.

    Any other exception says the same, without details.
    """


# Tracebacks show them by the names that handlers use.
for _kind in (CallFailedError, PermanentError, RetryableError):
    _kind.__module__ = "brrr"


def is_permanent(error: BaseException) -> bool:
    """Is `error` a `PermanentError`, or does it contain one? A TaskGroup, which needs all its tasks, wraps what it collects."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_permanent, error.exceptions))
    return isinstance(error, PermanentError)


def details_of(error: BaseException, kind: type[_OwnError]) -> bytes | None:
    """The details of the first error of this kind that `error` is or contains, encoded. Raises codec.NotJSONError."""
    if isinstance(error, BaseExceptionGroup):
        found = (details_of(inner, kind) for inner in error.exceptions)
        return next((details for details in found if details is not None), None)
    if not isinstance(error, kind) or (details := getattr(error, "details", None)) is None:
        return None
    return codec.encode_result(details)


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


def _failed_calls(error: BaseException) -> list[CallFailedError]:
    """The failed calls that `error` consists of; none if there is another error among them."""
    if isinstance(error, CallFailedError):
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
