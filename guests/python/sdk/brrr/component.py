"""The component's exports: `brrr:worker/handler`, on top of the WIT imports.

A module that is itself given to `componentize-py` needs one line: `from brrr.component import Handler`.
`python -m brrr.build` does without.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Sequence

from componentize_py_types import Err, Ok  # type: ignore[import-not-found]
from wit_world import exports  # type: ignore[import-not-found]
from wit_world.imports import control, log, tasks, types  # type: ignore[import-not-found]

from brrr import data, environment, fields, files, findings, serve, sockets, text, warm, zones
from brrr.handlers import registry
from brrr.host import Failure, Invocation, Outcome, Request, Want
from brrr.text import clean
from brrr.version import VERSION


class Handler(exports.Handler):  # type: ignore[misc]
    """What the host calls."""

    def describe(self) -> types.Component:
        """What this component is, and the tasks that it handles."""
        return types.Component("python", VERSION, [types.Task(name, list(pairs)) for name, pairs in _DESCRIBED])

    def handle(self, request: types.Request) -> bytes:
        """Runs one task. Raises `Err(HandlerError)`, and nothing else: that would be a trap."""
        result = serve.handle(Request(**vars(request)), _ComponentHost())
        _flush()
        match result:
            case serve.Retryable(message, details):
                raise Err(types.HandlerError_Retryable(types.ErrorInfo(clean(message), details)))
            case serve.Lasting(message, details):
                raise Err(types.HandlerError_Permanent(types.ErrorInfo(clean(message), details)))
            case serve.ChildFailed(failure):
                raise Err(types.HandlerError_Child(_wit_failure(failure)))
            case _:
                return result


_DESCRIBED = [(task.name, task.described().pairs()) for task in registry.values()]
"""The tasks with their options: made while the component is built, so that no run has to."""


class _ComponentHost:
    def poll(self, calls: Sequence[Invocation], want: Want, until: int | None) -> Sequence[Outcome | None]:
        _flush()  # the host may drop this instance, and what it has not yet printed with it
        wish = types.Want_Some(want) if isinstance(want, int) else _WANTS[want]
        return [_outcome(outcome) for outcome in tasks.poll([_wit_invocation(call) for call in calls], wish, until)]

    def time_left(self) -> float:
        left: int = control.time_left_ms()
        return left / 1000

    def now(self) -> float:
        return time.monotonic()

    def unix_us(self) -> int:
        return time.time_ns() // 1000

    def sleep(self, seconds: float) -> None:
        _flush()  # as before a poll
        time.sleep(seconds)

    def warn(self, message: str) -> None:
        _warn(message)


_WANTS = {"all": types.Want_All(), "progress": types.Want_Progress()}


class _LogHandler(logging.Handler):
    """Shows Python's log records on the worker's output, at their level."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record)
        except Exception:
            # Arguments that don't fit the format, for example: no reason for the handler to fail.
            self.handleError(record)
            return
        level = next((level for level, floor in _LEVELS if record.levelno >= floor), log.Level.TRACE)
        _write(level, message, fields.of(record))


_LEVELS = (
    (log.Level.ERROR, logging.ERROR),
    (log.Level.WARN, logging.WARNING),
    (log.Level.INFO, logging.INFO),
    (log.Level.DEBUG, logging.DEBUG),
)


def _outcome(outcome: Ok[bytes] | Err[types.Failure] | None) -> Outcome | None:
    if outcome is None:
        return None
    if isinstance(outcome, Ok):
        return bytes(outcome.value)
    failure = outcome.value
    details = None if failure.details is None else bytes(failure.details)
    return Failure(failure.kind, failure.task, failure.message, failure.attempts, failure.chain, details)


def _wit_invocation(call: Invocation) -> types.Invocation:
    topic = None if call.topic is None else clean(call.topic)
    options = [(key, clean(value)) for key, value in call.options]
    return types.Invocation(clean(call.task), call.payload, topic, call.call_hash, options)


def _wit_failure(failure: Failure) -> types.Failure:
    # A handler may have made it itself, of anything.
    attempts = failure.attempts if isinstance(failure.attempts, int) and 0 <= failure.attempts < 1 << 32 else 1
    chain = [clean(link) for link in failure.chain]
    kind, task, message = clean(failure.kind), clean(failure.task), clean(failure.message)
    return types.Failure(kind, task, message, attempts, chain, failure.details)


def _write(level: log.Level, message: str, pairs: Sequence[tuple[str, str]] = ()) -> None:
    _flush()  # keeps the order of print and logging
    log.write(level, clean(message), [(clean(name), clean(value)) for name, value in pairs])


def _warn(message: str) -> None:
    _write(log.Level.WARN, message)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # The handler has closed or replaced it.


# A handler that configured logging itself has had its way already: this module is imported after it.
logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_LogHandler()])
for _stream in (sys.stdout, sys.stderr):
    if isinstance(_stream, io.TextIOWrapper):
        _stream.reconfigure(line_buffering=True, encoding="utf-8", errors=text.ERRORS)

findings.watch_coroutines(_warn)
sockets.install()
zones.install()
environment.install()
files.install()
data.install()
warm.up()
