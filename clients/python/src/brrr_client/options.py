"""How a job is run."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypedDict

from brrr_client._core.text import Duration, duration_text, time_text

__all__ = ["Duration", "Input", "JobOptions", "StartOptions"]

Input = Mapping[str, Any] | bytes | None
"""The named arguments of a task; bytes: the raw payload; None: no arguments."""


class JobOptions(TypedDict, total=False):
    """The options of a job. What is left out, or None, is as the task says, or else as the host says.

    A duration is a timedelta, a number of seconds, or a text: "1h 30m". A datetime needs a time zone.
    """

    timeout: Duration | None
    """The job is timed out if it is not over after so long."""
    deadline: datetime | None
    """The job is timed out if it is not over then."""
    max_messages: int | None
    """The job fails if it uses more messages."""
    scope: Duration | None
    """Who shares results: "fleet" (all jobs), "job" (only calls of this job), or for how long they are shared."""
    label: str | None
    """A name for people."""
    task_timeout: Duration | None
    """How long one run of the handler may take."""
    max_retries: int | None
    """How often a failed run is repeated."""
    retry_delay: Duration | None
    """How long to wait before that."""
    retry_backoff: Literal["exponential", "constant"] | None


class StartOptions(JobOptions, total=False):
    """The options of a job, and when it starts."""

    key: str | None
    """The idempotency key, 1 to 255 visible ASCII characters: all starts with this key are one job. None: a random one."""
    delay: Duration | None
    """Start it after so long."""
    at: datetime | None
    """Start it then."""


WRITE: dict[str, Callable[[Any], Any]] = {
    "timeout": duration_text,
    "deadline": time_text,
    "scope": duration_text,
    "task_timeout": duration_text,
    "retry_delay": duration_text,
    "delay": duration_text,
    "at": time_text,
}


def options_body(options: Mapping[str, object]) -> dict[str, Any]:
    """The member `options` of a request."""
    return {name: WRITE.get(name, _same)(value) for name, value in options.items() if value is not None}


def input_body(input: Input) -> dict[str, Any]:
    """The members of a request that say what a task gets."""
    if input is None:
        return {}
    if isinstance(input, bytes):
        return {"payload_base64": base64.b64encode(input).decode()}
    return {"input": dict(input)}


def _same(value: Any) -> Any:
    return value


def unknown(options: Mapping[str, object], known: type[JobOptions]) -> None:
    """Raises TypeError if there is an option that this kind of options does not have."""
    for name in options:
        if name not in known.__annotations__ and name not in JobOptions.__annotations__:
            raise TypeError(f"there is no option {name!r}; the arguments of a task are a mapping, {{'{name}': …}}")
