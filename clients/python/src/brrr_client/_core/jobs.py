"""The operations of jobs."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from brrr_client._core.problems import read
from brrr_client._core.repeat import Repeat, exchange, pause_before
from brrr_client._core.settings import Settings
from brrr_client._core.steps import Give, Listing, Operation, Request, pause
from brrr_client._core.text import bound_text, path, seconds, to_json, visible
from brrr_client.documents import JobInfo, JobState, LogLevel, LogLine, PromiseInfo, Tree
from brrr_client.errors import (
    ConnectionFailedError,
    JobCancelledError,
    JobFailedError,
    JobTimedOutError,
    ResultForgottenError,
    UnavailableError,
    UnexpectedAnswerError,
    WaitTimeoutError,
)
from brrr_client.options import Input, StartOptions, input_body, options_body, unknown

LONGEST_WAIT = 60
"""Seconds. A gateway delays one answer for at most so long."""

GRACE = 5.0
"""Seconds that an answer may still take when the time of a wait is over. A machine under load needs some of them."""

LONGEST_PAUSE = 0.2
"""Seconds between two requests in the last second of a wait. A gateway can't wait for less than a second."""


class HasId(Protocol):
    """A handle or document of a job."""

    @property
    def id(self) -> str: ...


def id_of(job: HasId | str) -> str:
    """The id of a job."""
    return job if isinstance(job, str) else job.id


def start(
    settings: Settings, topic: str | None, task: str, input: Input, options: Mapping[str, object]
) -> Operation[JobInfo]:
    """Starts a job. The key makes sure that repeated requests start one job."""
    unknown(options, StartOptions)
    given = options_body(options)
    key = given.pop("key", None)
    if key is None:
        key = uuid.uuid4().hex
    elif not visible(key) or len(key) > 255:
        raise ValueError("the key can't be sent; it must have 1 to 255 visible ASCII characters")
    body: dict[str, Any] = {"task": task, **input_body(input)}
    if topic is not None:
        body["topic"] = topic
    for name in ("delay", "at"):
        if name in given:
            body[name] = given.pop(name)
    if given:
        body["options"] = given
    request = Request("POST", path("jobs"), headers={"idempotency-key": key}, content=to_json(body))
    return read((yield from exchange(settings, request)), JobInfo.parse)


def status(settings: Settings, job_id: str) -> Operation[JobInfo]:
    """The job as it is now."""
    return read((yield from exchange(settings, Request("GET", path("jobs", job_id)))), JobInfo.parse)


def result(settings: Settings, job_id: str, timeout: timedelta | float | None) -> Operation[Any]:
    """Waits until the job is over, and returns its value."""
    return value_of((yield from wait(settings, job_id, timeout)))


def wait(settings: Settings, job_id: str, timeout: timedelta | float | None) -> Operation[JobInfo]:
    """Waits until the job is over, and returns it. Raises WaitTimeoutError after the time."""
    limit = None if timeout is None else seconds(timeout)
    until = None if limit is None else time.monotonic() + limit
    looks = 0
    while True:
        asked = time.monotonic()
        left = math.inf if until is None else until - asked
        held = int(min(max(left, 0), LONGEST_WAIT))
        request = Request(
            "GET",
            path("jobs", job_id),
            headers={"prefer": f"wait={held}"} if held else {},
            read_timeout=min(held + settings.timeout, max(left, 0) + GRACE),
        )
        try:
            job = read((yield from exchange(settings, request, until=until)), JobInfo.parse)
        except (ConnectionFailedError, UnavailableError) as error:
            if limit is None or until is None or time.monotonic() < until:
                raise
            raise WaitTimeoutError(job_id, limit) from error
        if job.is_over:
            return job
        now = time.monotonic()
        if limit is not None and until is not None and now >= until:
            raise WaitTimeoutError(job_id, limit)
        # The gateway answered early. Without a pause these requests would be a busy loop.
        if now - asked < max(held - 1, 1):
            looks += 1
            yield from pause(min(pause_before(looks, None) / 10, LONGEST_PAUSE, math.inf if until is None else until - now))


def value_of(job: JobInfo) -> Any:
    """The value of a job that is over. Raises its error if it has no value."""
    if job.state == "completed":
        if job.forgotten:
            raise ResultForgottenError(job.id)
        return job.result
    if job.failure is None:
        raise UnexpectedAnswerError(f"job {job.id} is {job.state}, and the answer has no failure")
    if job.state == "cancelled":
        raise JobCancelledError(job.id, job.failure)
    if job.state == "timed-out":
        raise JobTimedOutError(job.id, job.failure)
    raise JobFailedError(job.id, job.failure)


def cancel(settings: Settings, job_id: str) -> Operation[JobInfo]:
    """Cancels a job. The gateway accepts this twice, so the request may be repeated."""
    return read((yield from exchange(settings, Request("POST", path("jobs", job_id, "cancel")))), JobInfo.parse)


def retry(settings: Settings, job_id: str) -> Operation[JobInfo]:
    """Retries a job that is over, as a new job."""
    # A second request would start a second job.
    answer = yield from exchange(settings, Request("POST", path("jobs", job_id, "retry")), Repeat.UNDONE)
    return read(answer, JobInfo.parse)


def tree(settings: Settings, job_id: str, depth: int | None) -> Operation[Tree]:
    """The tree of a job's calls."""
    query = {} if depth is None else {"depth": str(depth)}
    return read((yield from exchange(settings, Request("GET", path("jobs", job_id, "tree"), query))), Tree.parse)


def logs(settings: Settings, job_id: str, level: LogLevel | None) -> Listing[LogLine]:
    """The lines of all pages, in the order of time."""
    query: dict[str, str] = {} if level is None else {"level": level}
    while True:
        answer = yield from exchange(settings, Request("GET", path("jobs", job_id, "logs"), query))
        lines, cursor = read(answer, _lines)
        for line in lines:
            yield Give(line)
        if cursor is None:
            return
        query["cursor"] = cursor


def _lines(document: Any) -> tuple[list[LogLine], str | None]:
    return [LogLine.parse(line) for line in document["lines"]], document["next"]


def promises(settings: Settings, job_id: str) -> Operation[list[PromiseInfo]]:
    """The promises that a job waits for now."""
    answer = yield from exchange(settings, Request("GET", path("jobs", job_id, "promises")))
    return read(answer, lambda document: [PromiseInfo.parse(each) for each in document["promises"]])


def resolve(settings: Settings, job_id: str, name: str, value: object) -> Operation[None]:
    """Resolves a promise. The gateway accepts the same answer twice, so the request may be repeated."""
    request = Request("POST", path("jobs", job_id, "promises", name), content=to_json(value))
    yield from exchange(settings, request)


def reject(settings: Settings, job_id: str, name: str, reason: str) -> Operation[None]:
    """Rejects a promise."""
    content = to_json({"reason": reason})
    yield from exchange(settings, Request("POST", path("jobs", job_id, "promises", name, "reject"), content=content))


def listed(
    settings: Settings,
    state: JobState | None,
    topic: str | None,
    task: str | None,
    label: str | None,
    since: datetime | timedelta | None,
    until: datetime | timedelta | None,
    page_size: int,
) -> Listing[JobInfo]:
    """The jobs of all pages, newest first."""
    # One time for all pages, so that they are pages of one list.
    now = datetime.now(timezone.utc)
    given = {
        "state": state,
        "topic": topic,
        "task": task,
        "label": label,
        "since": None if since is None else bound_text(since, now),
        "until": None if until is None else bound_text(until, now),
        "limit": str(page_size),
    }
    query = {name: value for name, value in given.items() if value is not None}
    while True:
        answer = yield from exchange(settings, Request("GET", path("jobs"), query))
        jobs, cursor = read(answer, _page)
        for job in jobs:
            yield Give(job)
        if cursor is None:
            return
        query["cursor"] = cursor


def _page(document: Any) -> tuple[list[JobInfo], str | None]:
    return [JobInfo.parse(job) for job in document["jobs"]], document["next"]


