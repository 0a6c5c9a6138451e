"""How a task is run, and how one call of it is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypedDict

Duration = float | timedelta
"""A number is seconds."""

Scope = str | timedelta
"""Who shares the outcome of a call: "fleet", every job; "job", this job and those that retry it; a time, as `timedelta` or as
text like "90s", "15m", "1h" or "7d": every job, for at most that long."""

Backoff = Literal["fixed", "exponential"]
"""How the pauses before retries grow: all alike, or each twice the one before."""

_MOST_SECONDS = 1e12
"""30 000 years, which the WIT's milliseconds can hold."""

Pairs = tuple[tuple[str, str], ...]
"""Options by the names that the WIT gives them, as text."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the host should know of a task; None is the host's default. Raises ValueError for what can't be meant."""

    timeout: Duration | None = None
    """The time that one run of the handler may take."""
    max_retries: int | None = None
    """Runs after the first one that failed, if the failure may pass: an exception, a trap, out of time or memory."""
    retry_delay: Duration | None = None
    """The pause before the first of them."""
    max_retry_delay: Duration | None = None
    """The longest such pause, where they grow."""
    backoff: Backoff | None = None
    """How they grow; the host's default is "exponential"."""
    max_running: int | None = None
    """Runs of the task at once, in one worker."""
    memory: int | str | None = None
    """What one run may have, in bytes or as text like "64MiB"; the worker may allow less."""
    leaf: bool = False
    """The handler calls nobody; in return it has the real clock, sleep and random numbers."""
    scope: Scope | None = None
    """Who shares the outcome of its calls, where a call says nothing else; the host's default is "fleet"."""
    description: str | None = None
    """A text for people; without it the handler's docstring is taken."""
    input_schema: Mapping[str, Any] | None = None
    """A JSON Schema of the arguments, as one object; without it one is made of the annotations."""
    output_schema: Mapping[str, Any] | None = None
    """A JSON Schema of the result; without it one is made of the annotation."""

    def __post_init__(self) -> None:
        self.pairs()

    def pairs(self) -> Pairs:
        """As the WIT has them."""
        return _pairs(
            {
                "leaf": "true" if self.leaf else None,
                **_of_retries(self.timeout, self.max_retries, self.retry_delay, self.max_retry_delay, self.backoff),
                "max-running": _whole("max_running", self.max_running, least=1),
                "memory-bytes": _bytes(self.memory),
                "scope": _scope(self.scope),
                "description": self.description,
                "input-schema": _schema("input_schema", self.input_schema),
                "output-schema": _schema("output_schema", self.output_schema),
            }
        )


class RunOptions(TypedDict, total=False):
    """How often and how long something is run; `Options` says what each is."""

    timeout: Duration | None
    max_retries: int | None
    retry_delay: Duration | None
    max_retry_delay: Duration | None
    backoff: Backoff | None


class HandlerOptions(RunOptions, total=False):
    """The options of a decorator; `Options` says what each is."""

    max_running: int | None
    memory: int | str | None
    leaf: bool
    scope: Scope | None
    description: str | None
    input_schema: Mapping[str, Any] | None
    output_schema: Mapping[str, Any] | None


class CallOptions(RunOptions, total=False):
    """The options of a call: where and as what it is made, and how it is run in place of what its task says.

    topic: the queue that serves the task; default: the one this very call came from.
    call_hash: the call's identity, in place of the hash that the host makes of task, arguments and scope.
    scope: who shares its outcome: "fleet", "job", or a time; see `Scope`.
    label: a name by which the host's events and listings show the call.

    The others are no part of the call's identity: of two parents in one job that make the same call, the first decides.
    """

    topic: str | None
    call_hash: str | None
    scope: Scope | None
    label: str | None


def call_options(
    *,
    timeout: Duration | None = None,
    max_retries: int | None = None,
    retry_delay: Duration | None = None,
    max_retry_delay: Duration | None = None,
    backoff: Backoff | None = None,
    scope: Scope | None = None,
    label: str | None = None,
) -> Pairs:
    """How a call is run, for the WIT's `invocation`. Raises ValueError for what can't be meant."""
    retries = _of_retries(timeout, max_retries, retry_delay, max_retry_delay, backoff)
    return _pairs({**retries, "scope": _scope(scope), "label": label})


def _milliseconds(name: str, time: Duration | None) -> int | None:
    """A time in the WIT's unit."""
    if time is None:
        return None
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    if not (isinstance(seconds, (int, float)) and math.isfinite(seconds) and 0 <= seconds <= _MOST_SECONDS):
        raise ValueError(f"{name} is a number of seconds or a timedelta, not {time!r}")
    return round(seconds * 1000)


def _scope(scope: Scope | None) -> str | None:
    if scope is None or scope in ("fleet", "job"):
        return scope  # type: ignore[return-value]
    if isinstance(scope, timedelta) and (ms := _milliseconds("scope", scope)):
        return f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"
    if isinstance(scope, str) and re.fullmatch(r"0*[1-9]\d*(ms|s|m|h|d)", scope):
        return scope
    raise ValueError(f'scope is "fleet", "job", a timedelta, or a text like "90s", "15m", "1h" or "7d", not {scope!r}')


def _schema(name: str, schema: Mapping[str, Any] | None) -> str | None:
    if schema is None:
        return None
    try:
        return json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no JSON Schema: {error}") from None


def _of_retries(
    timeout: Duration | None,
    max_retries: int | None,
    retry_delay: Duration | None,
    max_retry_delay: Duration | None,
    backoff: Backoff | None,
) -> dict[str, Any]:
    return {
        "timeout-ms": _milliseconds("timeout", timeout),
        "max-retries": _whole("max_retries", max_retries),
        "retry-delay-ms": _milliseconds("retry_delay", retry_delay),
        "max-retry-delay-ms": _milliseconds("max_retry_delay", max_retry_delay),
        "retry-backoff": _backoff(backoff),
    }


def _pairs(options: dict[str, Any]) -> Pairs:
    return tuple((key, str(value)) for key, value in options.items() if value is not None)


def _whole(name: str, number: int | None, least: int = 0, most: int = (1 << 32) - 1) -> int | None:
    if number is not None and (not isinstance(number, int) or not least <= number <= most):
        raise ValueError(f"{name} is a whole number from {least} to {most}, not {number!r}")
    return number


def _backoff(backoff: Backoff | None) -> Backoff | None:
    if backoff not in (None, "fixed", "exponential"):
        raise ValueError(f'backoff is "fixed" or "exponential", not {backoff!r}')
    return backoff


_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _bytes(memory: int | str | None) -> int | None:
    if isinstance(memory, str):
        size = re.fullmatch(r"(\d+) ?(KiB|MiB|GiB)", memory)
        if size is None:
            raise ValueError(f'memory is a number of bytes, or a text like "64MiB" (KiB, MiB, GiB), not {memory!r}')
        return int(size[1]) * _UNITS[size[2]]
    return _whole("memory", memory, most=(1 << 64) - 1)
