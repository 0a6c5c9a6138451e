"""The component's exports: `brrr:worker/handler`, on top of the WIT imports.

A module that is itself given to `componentize-py` needs one line: `from brrr.component import Handler`.
`python -m brrr.build` does without.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence

from componentize_py_types import Err, Ok  # type: ignore[import-not-found]
from wit_world import exports  # type: ignore[import-not-found]
from wit_world.exports import handler as wit  # type: ignore[import-not-found]
from wit_world.imports import control, log, tasks, types  # type: ignore[import-not-found]

from brrr import environment, files, serve, warm
from brrr.handlers import registry
from brrr.host import Failure, Invocation, Outcome, Request
from brrr.options import milliseconds


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
        """Runs one task. Raises `Err(HandlerError)`."""
        result = serve.handle(Request(**vars(request)), _ComponentHost())
        _flush()
        match result:
            case serve.Retryable(message):
                raise Err(wit.HandlerError_Retryable(message))
            case serve.Lasting(message):
                raise Err(wit.HandlerError_Permanent(message))
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
        time.sleep(seconds)


class _LogHandler(logging.Handler):
    """Shows Python's log records on the worker's output, at their level."""

    def emit(self, record: logging.LogRecord) -> None:
        _flush()  # keeps the order of print and logging
        level = next((level for level, floor in _LEVELS if record.levelno >= floor), log.Level.TRACE)
        log.write(level, self.format(record))


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
    return types.Invocation(call.task, call.payload, call.topic, call.call_hash, list(call.options))


def _wit_failure(failure: Failure) -> types.Failure:
    return types.Failure(failure.kind, failure.task, failure.message, failure.attempts, list(failure.chain))


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


# A handler that configured logging itself has had its way already: this module is imported after it.
logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_LogHandler()])
for _stream in (sys.stdout, sys.stderr):
    _stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]

environment.install()
files.install()
warm.up()
