"""What several tests need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from brrr_client import Client, Job, JobFailedError

HOUR_MS = 3_600_000


def alone(client: Client, task: str, **arguments: Any) -> Job:
    """Starts a job that shares no results with the jobs of other tests: without this, equal calls are one call."""
    return client.start_with("demo", task, arguments, scope="job")


def failure(job: Job) -> JobFailedError:
    """The error with which a job ends."""
    with pytest.raises(JobFailedError) as caught:
        job.result(timeout=60)
    return caught.value


def eventually(what: str, look: Callable[[], Any]) -> Any:
    """Calls `look` until it returns something."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within a minute: {what}")
