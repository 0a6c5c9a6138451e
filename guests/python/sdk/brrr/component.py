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
from wit_world.exports import handler as wit  # type: ignore[import-not-found]
from wit_world.imports import control, log, tasks, types  # type: ignore[import-not-found]

from brrr import data, environment, files, findings, serve, sockets, text, warm, zones
from brrr.handlers import registry
from brrr.host import Failure, Invocation, Outcome, Request
from brrr.options import milliseconds
from brrr.text import clean


class Handler(exports.Handler):  # type: ignore[misc]
    """What the host calls."""

    def describe(self) -> list[wit.Task]:
        """The tasks that this component handles."""
        return [
            wit.Task(
                task.name,
                wit.Options(
                    timeout_ms=milliseconds("timeout", task.options.timeout),
                    max_retries=task.options.max_retries,
                    retry_delay_ms=milliseconds("retry_delay", task.options.retry_delay),
                    leaf=task.options.leaf,
                    extra=list(task.options.extra()),
                ),
            )
            for task in registry.values()
        ]

    def handle(self, request: wit.Request) -> bytes:
        """Runs one task. Raises `Err(HandlerError)`, and nothing else: that would be a trap."""
        result = serve.handle(Request(**vars(request)), _ComponentHost())
        _flush()
        match result:
            case serve.Retryable(message):
                raise Err(wit.HandlerError_Retryable(clean(message)))
            case serve.Lasting(message):
                raise Err(wit.HandlerError_Permanent(clean(message)))
            case serve.ChildFailed(failure):
                raise Err(wit.HandlerError_Child(_wit_failure(failure)))
            case _:
                return result


class _ComponentHost:
    def poll(self, calls: Sequence[Invocation], need: int | None) -> Sequence[Outcome | None]:
        _flush()  # the host may drop this instance, and what it has not yet printed with it
        return [_outcome(outcome) for outcome in tasks.poll([_wit_invocation(call) for call in calls], need)]

    def time_left(self) -> float:
        left: int = control.time_left_ms()
        return left / 1000

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        _flush()  # as before a poll
        time.sleep(seconds)

    def warn(self, message: str) -> None:
        _warn(message)


class _LogHandler(logging.Handler):
    """Shows Python's log records on the worker's output, at their level."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record)
        except Exception:
            # Arguments that don't fit the format, for example: no reason for the handler to fail.
            self.handleError(record)
            return
        _write(next((level for level, floor in _LEVELS if record.levelno >= floor), log.Level.TRACE), message)


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
    return Failure(failure.kind, failure.task, failure.message, failure.attempts, failure.chain)


def _wit_invocation(call: Invocation) -> types.Invocation:
    topic = None if call.topic is None else clean(call.topic)
    options = [(key, clean(value)) for key, value in call.options]
    return types.Invocation(clean(call.task), call.payload, topic, call.call_hash, options)


def _wit_failure(failure: Failure) -> types.Failure:
    # A handler may have made it itself, of anything.
    attempts = failure.attempts if isinstance(failure.attempts, int) and 0 <= failure.attempts < 1 << 32 else 1
    chain = [clean(link) for link in failure.chain]
    return types.Failure(clean(failure.kind), clean(failure.task), clean(failure.message), attempts, chain)


def _write(level: log.Level, message: str) -> None:
    _flush()  # keeps the order of print and logging
    log.write(level, clean(message))


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
