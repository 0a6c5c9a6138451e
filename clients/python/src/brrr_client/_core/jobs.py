"""The operations of jobs."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

from brrr_client._core.problems import error_of, read
from brrr_client._core.repeat import Repeat, attempts, exchange, pause_before
from brrr_client._core.settings import Settings
from brrr_client._core.steps import Give, Listing, Operation, Request, pause
from brrr_client._core.text import path, seconds, to_json, visible
from brrr_client.documents import JobInfo, JobState, PromiseInfo, Tree
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
"""Seconds. The longest that a gateway waits for a job with one answer."""

GRACE = 5.0
"""Seconds that an answer may take when no time is left. More would be too late, less too little for a busy machine."""

LONGEST_PAUSE = 0.2
"""Seconds between two looks, when less than a second is left, which is the shortest that a gateway waits."""


class HasId(Protocol):
    """A job, however it is given."""

    @property
    def id(self) -> str: ...


def id_of(job: HasId | str) -> str:
    """The id of a job."""
    return job if isinstance(job, str) else job.id


def start(
    settings: Settings, topic: str | None, task: str, input: Input, options: Mapping[str, object]
) -> Operation[JobInfo]:
    """Starts a job; once, however often the request is sent."""
    unknown(options, StartOptions)
    given = options_body(options)
    key = given.pop("key", None)
    if key is None:
        key = uuid.uuid4().hex
    elif not visible(key) or len(key) > 255:
        raise ValueError("a key has 1 to 255 characters, all of them visible ASCII")
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
    """The job as it is."""
    return read((yield from exchange(settings, Request("GET", path("jobs", job_id)))), JobInfo.parse)


def result(settings: Settings, job_id: str, timeout: timedelta | float | None) -> Operation[Any]:
    """The value of a job, once it is over."""
    return value_of((yield from wait(settings, job_id, timeout)))


def wait(settings: Settings, job_id: str, timeout: timedelta | float | None) -> Operation[JobInfo]:
    """The job, once it is over. Raises WaitTimeoutError if that takes longer."""
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
        # Not after an answer for which the gateway has waited. It may wait for less than it was asked to.
        if now - asked < max(held - 1, 1):
            looks += 1
            yield from pause(min(pause_before(looks, None) / 10, LONGEST_PAUSE, math.inf if until is None else until - now))


def value_of(job: JobInfo) -> Any:
    """The value of a job that is over, or its error."""
    if job.state == "completed":
        if job.forgotten:
            raise ResultForgottenError(job.id)
        return job.result
    if job.failure is None:
        raise UnexpectedAnswerError(f"job {job.id} is {job.state}, and the gateway does not say why")
    if job.state == "cancelled":
        raise JobCancelledError(job.id, job.failure)
    if job.state == "timed-out":
        raise JobTimedOutError(job.id, job.failure)
    raise JobFailedError(job.id, job.failure)


def cancel(settings: Settings, job_id: str) -> Operation[JobInfo]:
    """Cancels a job."""
    answer, maybe_done = yield from attempts(settings, Request("POST", path("jobs", job_id, "cancel")))
    if answer.status < 300:
        return read(answer, JobInfo.parse)
    error = error_of(answer)
    if maybe_done and error.name == "job-over":
        # The first request may have cancelled it, and its answer was lost.
        job = yield from status(settings, job_id)
        if job.state == "cancelled":
            return job
    raise error


def retry(settings: Settings, job_id: str) -> Operation[JobInfo]:
    """Does a job that is over again, as a new one."""
    # A second request would make a second job.
    answer = yield from exchange(settings, Request("POST", path("jobs", job_id, "retry")), Repeat.UNDONE)
    return read(answer, JobInfo.parse)


def tree(settings: Settings, job_id: str, depth: int | None) -> Operation[Tree]:
    """The calls of a job."""
    query = {} if depth is None else {"depth": str(depth)}
    return read((yield from exchange(settings, Request("GET", path("jobs", job_id, "tree"), query))), Tree.parse)


def promises(settings: Settings, job_id: str) -> Operation[list[PromiseInfo]]:
    """The promises that a job waits for."""
    answer = yield from exchange(settings, Request("GET", path("jobs", job_id, "promises")))
    return read(answer, lambda document: [PromiseInfo.parse(each) for each in document["promises"]])


def resolve(settings: Settings, job_id: str, name: str, value: object) -> Operation[None]:
    """Resolves a promise. The same answer twice is one."""
    request = Request("POST", path("jobs", job_id, "promises", name), content=to_json(value))
    yield from exchange(settings, request)


def reject(settings: Settings, job_id: str, name: str, reason: str) -> Operation[None]:
    """Rejects a promise."""
    content = to_json({"reason": reason})
    yield from exchange(settings, Request("POST", path("jobs", job_id, "promises", name, "reject"), content=content))


def listed(
    settings: Settings, state: JobState | None, topic: str | None, task: str | None, page_size: int
) -> Listing[JobInfo]:
    """All jobs that fit, the newest first."""
    given = {"state": state, "topic": topic, "task": task, "limit": str(page_size)}
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


