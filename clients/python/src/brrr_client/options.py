"""The options of jobs."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypedDict

from brrr_client._core.text import Duration, duration_text, time_text

__all__ = ["Duration", "Input", "JobOptions", "StartOptions"]

Input = Mapping[str, Any] | bytes | None
"""The arguments of a task by name, or its raw payload as bytes. None: no arguments."""


class JobOptions(TypedDict, total=False):
    """The options of a job. For an option that is missing or None, the option of the task applies, or the host's default.

    A duration is a timedelta, a number of seconds, or a text such as "1h 30m". A datetime needs a time zone.
    """

    timeout: Duration | None
    """The job times out if it is not over after this duration."""
    deadline: datetime | None
    """The job times out if it is not over at this time."""
    max_messages: int | None
    """The job fails if it uses more messages than this."""
    scope: Duration | None
    """Which calls share a result: "fleet" (the calls of all jobs), "job" (the calls of this job), or the calls of a duration."""
    label: str | None
    """A name for people."""
    task_timeout: Duration | None
    """The longest time of one run of the handler."""
    max_retries: int | None
    """The most repetitions of a failed run."""
    retry_delay: Duration | None
    """The time before the first repetition."""
    max_retry_delay: Duration | None
    """The longest time before a repetition."""
    retry_backoff: Literal["exponential", "fixed"] | None


class StartOptions(JobOptions, total=False):
    """The options of a job, its key, and the time of its start."""

    key: str | None
    """The idempotency key, 1 to 255 visible ASCII characters. All starts with the same key start one job. None: a random key."""
    delay: Duration | None
    """The job starts after this duration."""
    at: datetime | None
    """The job starts at this time."""


WRITE: dict[str, Callable[[Any], Any]] = {
    "timeout": duration_text,
    "deadline": time_text,
    "scope": duration_text,
    "task_timeout": duration_text,
    "retry_delay": duration_text,
    "max_retry_delay": duration_text,
    "delay": duration_text,
    "at": time_text,
}


def options_body(options: Mapping[str, object]) -> dict[str, Any]:
    """The member `options` of a request."""
    return {name: WRITE.get(name, _same)(value) for name, value in options.items() if value is not None}


def input_body(input: Input) -> dict[str, Any]:
    """The member of a request with the input of the task."""
    if input is None:
        return {}
    if isinstance(input, bytes):
        return {"payload_base64": base64.b64encode(input).decode()}
    return {"input": dict(input)}


def _same(value: Any) -> Any:
    return value


def unknown(options: Mapping[str, object], known: type[JobOptions]) -> None:
    """Raises TypeError for an option that does not exist."""
    for name in options:
        if name not in known.__annotations__ and name not in JobOptions.__annotations__:
            raise TypeError(f"there is no option {name!r}; give the arguments of the task as a mapping, {{{name!r}: …}}")
