"""How a task is run, and how one call of it is. Times are in seconds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

Backoff = Literal["fixed", "exponential"]
"""How the pauses before retries grow: all alike, or each twice the one before."""

_MOST_SECONDS = 1e12
"""30 000 years, which the WIT's milliseconds can hold."""

Pairs = tuple[tuple[str, str], ...]
"""Options by the names that the WIT gives them, as text."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the host should know of a task; None is the host's default. Raises ValueError for what can't be meant."""

    timeout: float | None = None
    """Seconds that one run of the handler may take."""
    max_retries: int | None = None
    """Runs after the first one that failed, if the failure may pass: an exception, a trap, out of time or memory."""
    retry_delay: float | None = None
    """Seconds before the first of them."""
    max_retry_delay: float | None = None
    """The longest such pause, where they grow."""
    backoff: Backoff | None = None
    """How they grow; the host's default is "exponential"."""
    max_running: int | None = None
    """Runs of the task at once, in one worker."""
    memory: int | str | None = None
    """What one run may have, in bytes or as text like "64MiB"; the worker may allow less."""
    leaf: bool = False
    """The handler calls nobody; in return it has the real clock, sleep and random numbers."""

    def __post_init__(self) -> None:
        _retry_pairs(self.timeout, self.max_retries, self.retry_delay, self.max_retry_delay, self.backoff)
        self.extra()

    def extra(self) -> Pairs:
        """Those that the WIT's record has no field for: what `describe` gives as `extra`."""
        return _pairs(
            {
                "retry-backoff": _backoff(self.backoff),
                "max-retry-delay-ms": milliseconds("max_retry_delay", self.max_retry_delay),
                "max-running": _whole("max_running", self.max_running, least=1),
                "memory-bytes": _bytes(self.memory),
            }
        )


class RunOptions(TypedDict, total=False):
    """How often and how long something is run; `Options` says what each is."""

    timeout: float | None
    max_retries: int | None
    retry_delay: float | None
    max_retry_delay: float | None
    backoff: Backoff | None


class HandlerOptions(RunOptions, total=False):
    """The options of a decorator; `Options` says what each is."""

    max_running: int | None
    memory: int | str | None
    leaf: bool


class CallOptions(RunOptions, total=False):
    """The options of a call: where and as what it is made, and how it is run in place of what its task says.

    topic: the queue that serves the task; default: the one this very call came from.
    call_hash: the call's identity, in place of the codec's hash of task and arguments.
    label: a name by which the host's events and listings show the call.

    All but the first two are no part of the call's identity: of two parents in one job that make the same call, the
    first decides.
    """

    topic: str | None
    call_hash: str | None
    label: str | None


def call_options(
    *,
    timeout: float | None = None,
    max_retries: int | None = None,
    retry_delay: float | None = None,
    max_retry_delay: float | None = None,
    backoff: Backoff | None = None,
    label: str | None = None,
) -> Pairs:
    """How a call is run, for the WIT's `invocation`. Raises ValueError for what can't be meant."""
    retries = _retry_pairs(timeout, max_retries, retry_delay, max_retry_delay, backoff)
    return retries + _pairs({"label": label})


def milliseconds(name: str, seconds: float | None) -> int | None:
    """An option's seconds in the WIT's unit."""
    if seconds is None:
        return None
    if not (math.isfinite(seconds) and 0 <= seconds <= _MOST_SECONDS):
        raise ValueError(f"{name} is a number of seconds, not {seconds!r}")
    return round(seconds * 1000)


def _retry_pairs(
    timeout: float | None,
    max_retries: int | None,
    retry_delay: float | None,
    max_retry_delay: float | None,
    backoff: Backoff | None,
) -> Pairs:
    return _pairs(
        {
            "timeout-ms": milliseconds("timeout", timeout),
            "max-retries": _whole("max_retries", max_retries),
            "retry-delay-ms": milliseconds("retry_delay", retry_delay),
            "max-retry-delay-ms": milliseconds("max_retry_delay", max_retry_delay),
            "retry-backoff": _backoff(backoff),
        }
    )


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
