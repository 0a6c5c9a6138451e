"""The methods of a job, in both variants."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from brrr_client import (
    Client,
    ConflictError,
    JobCancelledError,
    JobFailedError,
    JobTimedOutError,
    NotFoundError,
    WaitTimeoutError,
)
from support import HOUR_MS, alone, eventually, failure


def test_status(client: Client) -> None:
    job = alone(client, "fib", n=5, salt=None)
    assert job.result(timeout=60) == 5
    info = job.status()
    assert (info.id, info.state, info.topic, info.task, info.result) == (job.id, "completed", "demo", "fib", 5)
    assert info.is_over and info.failure is None and not info.forgotten
    assert abs(datetime.now(timezone.utc) - info.created) < timedelta(minutes=5)
    assert info.ended is not None and info.ended >= info.created
    assert info.duration is not None and info.duration >= timedelta(0)
    assert client.job(job.id).status() == client.job(info).status() == client.job(job).status() == info
    with pytest.raises(AttributeError):
        info.state = "failed"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_wait(client: Client) -> None:
    assert alone(client, "fails", message="no").wait(timeout=60).state == "failed"


def test_an_error_of_the_handler(client: Client) -> None:
    error = failure(alone(client, "fails", message="no luck"))
    assert type(error) is JobFailedError
    assert (error.kind, error.task, error.attempts) == ("error", "fails", 1)
    assert "no luck" in error.message and "no luck" in str(error)
    assert error.details is None


def test_an_error_from_below(client: Client) -> None:
    job = alone(client, "calls_always_fails", catch=False)
    error = failure(job)
    assert (error.task, error.kind, error.message) == ("calls_always_fails", "error", "never works")
    assert len(error.chain) == 2 and "always_fails" in error.chain[-1]
    info = job.status()
    assert info.state == "failed" and info.failure == error.failure


def test_other_kinds(client: Client) -> None:
    assert failure(alone(client, "stubborn")).message.endswith("no use")
    assert failure(alone(client, "recurses")).kind in ("trap", "limit")
    assert failure(alone(client, "spin_briefly_limited")).kind == "timeout"
    assert failure(alone(client, "unknown_child")).kind == "unknown-task"


def test_details(client: Client) -> None:
    assert failure(alone(client, "attaches", code=7)).details == {"code": 7}


def test_cancel(client: Client) -> None:
    job = alone(client, "sleeps", ms=HOUR_MS)
    assert job.cancel().id == job.id
    error = failure(job)
    assert type(error) is JobCancelledError and error.kind == "cancelled"
    assert job.status().state == "cancelled"
    assert job.cancel().state == "cancelled"
    over = client.start("demo", "noop")
    over.wait(timeout=60)
    with pytest.raises(ConflictError) as caught:
        over.cancel()
    assert caught.value.name == "job-over"


def test_the_time_of_a_wait_is_over(client: Client) -> None:
    job = alone(client, "sleeps", ms=HOUR_MS)
    for timeout in (0, 0.3, timedelta(seconds=1.2)):
        begun = time.monotonic()
        with pytest.raises(WaitTimeoutError) as caught:
            job.result(timeout=timeout)
        took = time.monotonic() - begun
        length = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        assert length <= took < length + 5
        assert isinstance(caught.value, TimeoutError) and caught.value.job_id == job.id
    job.cancel()


def test_a_short_wait_is_enough_for_a_job_that_is_over(client: Client) -> None:
    job = alone(client, "noop")
    job.wait(timeout=60)
    assert job.result(timeout=0) is None


def test_a_wait_ends_with_the_job(client: Client) -> None:
    job = alone(client, "sleeps", ms=1500)
    begun = time.monotonic()
    assert job.result() >= 1500
    assert time.monotonic() - begun < 20


def test_retry(client: Client) -> None:
    job = alone(client, "fails", message="again")
    assert "again" in failure(job).message
    new = job.retry()
    assert new.id != job.id and new.status().retry_of == job.id
    assert "again" in failure(new).message
    alive = alone(client, "sleeps", ms=HOUR_MS)
    with pytest.raises(ConflictError) as caught:
        alive.retry()
    assert caught.value.name == "job-alive"
    alive.cancel()


def test_tree(client: Client) -> None:
    job = alone(client, "fib", n=4, salt="tree")
    assert job.result(timeout=60) == 3
    tree = job.tree()
    assert (tree.root.task, tree.root.state, tree.cut) == ("fib", "completed", False)
    assert [child.task for child in tree.root.children] == ["fib", "fib"]
    assert tree.root.attempt is not None and tree.root.attempt >= 1
    assert job.tree(depth=1).cut


def test_logs(client: Client) -> None:
    job = alone(client, "prints", line="logs")
    assert job.result(timeout=60) == "logs"
    lines = list(job.logs())
    # The Rust SDK prints by the log of the host.
    assert [(line.stream, line.level, line.text) for line in lines] == [
        ("log", "info", "before logs"),
        ("log", "warn", "warning logs"),
        ("log", "info", "after logs"),
    ]
    assert all((line.task, line.attempt, line.fields, line.left_out) == ("prints", 1, {}, 0) for line in lines)
    assert [line.number for line in lines] == [0, 1, 2]
    assert [line.text for line in job.logs("warn")] == ["warning logs"]
    with_fields = alone(client, "logs_fields")
    with_fields.result(timeout=60)
    assert [dict(line.fields) for line in with_fields.logs()] == [{"a": "1", "b": "two"}]


def test_promises(client: Client) -> None:
    job = alone(client, "asks", name="approval", limit=0)
    (promise,) = eventually("the promise", job.promises)
    assert promise.name == "approval" and promise.call
    client.promise(job, "approval").resolve({"ok": True, "n": 2**70})
    assert job.result(timeout=60) == {"ok": True, "n": 2**70}


def test_promises_of_other_forms(client: Client) -> None:
    job = alone(client, "asks", name="a/b é?", limit=0)
    eventually("the promise", job.promises)
    client.promise(job.id, "a/b é?").resolve()
    assert job.result(timeout=60) is None
    job = alone(client, "asks", name="approval", limit=0)
    eventually("the promise", job.promises)
    job.promise("approval").reject("too expensive")
    error = failure(job)
    assert error.kind == "rejected" and "too expensive" in error.message


def test_a_promise_has_one_answer(client: Client) -> None:
    job = alone(client, "sleeps", ms=HOUR_MS)
    promise = job.promise("approval")
    promise.resolve(1)
    promise.resolve(1)
    with pytest.raises(ConflictError) as caught:
        promise.resolve(2)
    assert caught.value.name == "answered-otherwise"
    job.cancel()
    with pytest.raises(ConflictError) as caught:
        job.promise("another").resolve(2)
    assert caught.value.name == "job-over"


def test_a_job_that_does_not_exist(client: Client) -> None:
    job = client.job("0" * 32)
    tries: list[Callable[[], object]] = [
        job.status,
        job.result,
        job.cancel,
        job.retry,
        job.tree,
        job.promises,
        job.promise("a").resolve,
        lambda: job.promise("a").reject("no"),
        lambda: list(job.events()),
    ]
    for each in tries:
        with pytest.raises(NotFoundError) as caught:
            each()
        assert (caught.value.status, caught.value.name) == (404, "no-such-job")


def test_listing(client: Client) -> None:
    started = [alone(client, "dice", i=i).id for i in range(7)]
    for id in started:
        client.job(id).wait(timeout=60)
    found = list(client.jobs(task="dice", topic="demo", state="completed", page_size=2))
    assert [job.id for job in found][:7] == started[::-1]
    assert {(job.task, job.topic, job.state) for job in found} == {("dice", "demo", "completed")}
    assert len({job.id for job in found}) == len(found)
    # The client requests only the pages that are needed.
    assert next(client.jobs(page_size=1)).id
    assert list(client.jobs(task="dice", state="failed")) == []


def test_listing_by_label_and_time(client: Client) -> None:
    label = uuid.uuid4().hex
    jobs = [client.start_with("demo", "dice", {"i": i}, scope="job", label=label) for i in range(5)]
    for job in jobs:
        job.wait(timeout=60)
    found = list(client.jobs(label=label, page_size=2))
    assert [job.id for job in found] == [job.id for job in jobs[::-1]]
    assert {job.label for job in found} == {label}
    # The time of a job is the first one at which `since` finds it, and the last one at which `until` does not.
    middle = found[2].created
    older, newer = {job.id for job in found if job.created < middle}, {job.id for job in found if job.created >= middle}
    assert {job.id for job in client.jobs(label=label, since=middle, page_size=1)} == newer
    assert {job.id for job in client.jobs(label=label, until=middle, page_size=1)} == older
    assert {job.id for job in client.jobs(label=label, since=middle, until=middle)} == set()
    assert len(list(client.jobs(label=label, since=timedelta(hours=1)))) == 5
    assert list(client.jobs(label=label, until=timedelta(hours=1))) == []
    assert list(client.jobs(label="no such label")) == []
    with pytest.raises(ValueError, match="time zone"):
        list(client.jobs(since=datetime(2026, 1, 1)))


def test_times_out_is_a_failure(client: Client) -> None:
    error = failure(client.start_with("demo", "sleeps", {"ms": HOUR_MS}, timeout="200ms"))
    assert isinstance(error, JobTimedOutError) and not isinstance(error, JobCancelledError)
