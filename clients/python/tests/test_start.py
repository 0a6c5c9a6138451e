"""Starting jobs: arguments, options, keys."""

from __future__ import annotations

import json
import math
import uuid
from datetime import datetime, timedelta, timezone

import pytest
from brrr_client import Client, ConflictError, InvalidInputError, JobFailedError, JobTimedOutError, NotFoundError, StartOptions

HOUR_MS = 3_600_000


def test_arguments_by_name(client: Client) -> None:
    assert client.start("demo", "fib", n=10, salt=None).result(timeout=60) == 55
    assert client.start("demo", "noop").result(timeout=60) is None


def test_a_task_may_have_arguments_of_any_name(client: Client) -> None:
    # A raw task, which gives back its payload.
    job = client.start("demo", "echo", key=1, options=2, topic=3, task=4, input=5, self=6, timeout=7)
    expected = {"key": 1, "options": 2, "topic": 3, "task": 4, "input": 5, "self": 6, "timeout": 7}
    assert job.result(timeout=60) == [expected]


def test_the_topic_may_be_left_out(client: Client) -> None:
    assert client.start(None, "hello", greetee="John").result(timeout=60) == "Hello, John!"


def test_arguments_as_a_mapping(client: Client) -> None:
    assert client.start_with("demo", "hello", {"greetee": "Ann"}).result(timeout=60) == "Hello, Ann!"


def test_bytes(client: Client) -> None:
    payload = bytes(range(256))
    job = client.start_with("demo", "echo", payload)
    assert job.result(timeout=60) == payload
    assert job.status().result == payload


@pytest.mark.parametrize(
    "text",
    [
        "123456789012345678901234567890123456789012345678901234567890",
        "-9007199254740993",
        '[1.5, -0.0, 1e300, "\\u2028 \\ud83d\\ude00 é", {"a": [null, true]}]',
        '"' + "x" * 200_000 + '"',
    ],
    ids=["long", "beyond 2^53", "mixed", "large"],
)
def test_values_keep_what_they_are(client: Client, text: str) -> None:
    value = client.start_with("demo", "echo", text.encode()).result(timeout=60)
    assert repr(value) == repr(json.loads(text))


def test_the_same_key_is_the_same_job(client: Client) -> None:
    key = f"order {uuid.uuid4()}".replace(" ", "-")
    first = client.start_with("demo", "fib", {"n": 3, "salt": None}, key=key)
    assert client.start_with("demo", "fib", {"n": 3, "salt": None}, key=key).id == first.id
    others: list[tuple[str, dict[str, object]]] = [("fib", {"n": 4, "salt": None}), ("hello", {"greetee": "John"})]
    for task, input in others:
        with pytest.raises(ConflictError) as caught:
            client.start_with("demo", task, input, key=key)
        assert (caught.value.status, caught.value.name) == (409, "key-reused")
    assert client.start("demo", "fib", n=3, salt=None).id != first.id


@pytest.mark.parametrize("key", ["", "a b", "é", "a\nb", "x" * 256])
def test_a_key_that_cannot_be_sent(client: Client, key: str) -> None:
    with pytest.raises(ValueError, match="255"):
        client.start_with("demo", "noop", key=key)


def test_delay(client: Client) -> None:
    before = datetime.now(timezone.utc)
    job = client.start_with("demo", "noop", scope="job", delay=timedelta(hours=1))
    info = job.status()
    assert info.state == "scheduled" and not info.is_over
    assert info.starts is not None and timedelta(minutes=59) < info.starts - before < timedelta(minutes=61)
    job.cancel()


def test_at(client: Client) -> None:
    at = datetime.now(timezone(timedelta(hours=2))) + timedelta(days=1)
    job = client.start_with("demo", "noop", scope="job", at=at)
    starts = job.status().starts
    assert starts is not None and abs(starts - at) < timedelta(milliseconds=2)
    job.cancel()
    soon = datetime.now(timezone.utc) + timedelta(seconds=0.5)
    assert client.start_with("demo", "noop", scope="job", at=soon).result(timeout=60) is None
    assert datetime.now(timezone.utc) >= soon - timedelta(milliseconds=2)


def test_a_time_needs_a_zone(client: Client) -> None:
    with pytest.raises(ValueError, match="time zone"):
        client.start_with("demo", "noop", at=datetime(2030, 1, 1))


def test_timeout(client: Client) -> None:
    job = client.start_with("demo", "sleeps", {"ms": HOUR_MS}, timeout=0.3, scope="job")
    with pytest.raises(JobTimedOutError) as caught:
        job.result(timeout=60)
    assert caught.value.job_id == job.id
    assert job.status().state == "timed-out"


def test_deadline(client: Client) -> None:
    deadline = datetime.now(timezone.utc) + timedelta(hours=1)
    job = client.start_with("demo", "sleeps", {"ms": HOUR_MS}, deadline=deadline, scope="job")
    found = job.status().deadline
    assert found is not None and abs(found - deadline) < timedelta(milliseconds=2)
    job.cancel()


def test_retries(client: Client) -> None:
    options: StartOptions = {"max_retries": 1, "retry_delay": "1ms", "max_retry_delay": 1, "retry_backoff": "fixed", "scope": "job"}
    with pytest.raises(JobFailedError) as caught:
        client.start_with("demo", "always_fails", **options).result(timeout=60)
    assert caught.value.attempts == 2


def test_task_timeout(client: Client) -> None:
    job = client.start_with("demo", "loops", task_timeout=timedelta(milliseconds=200), max_retries=0, label="in circles")
    with pytest.raises(JobFailedError) as caught:
        job.result(timeout=60)
    assert caught.value.kind == "timeout"


def test_max_messages(client: Client) -> None:
    with pytest.raises(JobFailedError) as caught:
        client.start_with("demo", "fib", {"n": 12, "salt": "many"}, max_messages=5, scope="job").result(timeout=60)
    assert caught.value.kind == "limit"


def test_an_option_that_is_none_is_not_given(client: Client) -> None:
    assert client.start_with("demo", "noop", key=None, delay=None, timeout=None, label=None).result(timeout=60) is None


def test_an_option_that_does_not_exist(client: Client) -> None:
    with pytest.raises(TypeError, match="'n'"):
        client.start_with("demo", "fib", n=30)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_input_that_breaks_the_schema(client: Client) -> None:
    with pytest.raises(InvalidInputError) as caught:
        client.start("demo", "described", text=1, times="two")
    assert caught.value.status == 422
    assert {error.pointer for error in caught.value.errors} == {"/text", "/times"}
    assert all(error.message for error in caught.value.errors)


@pytest.mark.parametrize("value", [math.nan, {1, 2}, object()], ids=["nan", "set", "object"])
def test_input_that_json_does_not_have(client: Client, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        client.start("demo", "echo", value=value)


def test_nobody_knows_it(client: Client) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.start("demo", "no_such_task")
    assert caught.value.name == "no-such-task"
    with pytest.raises(NotFoundError) as caught:
        client.start("nowhere", "fib", n=1)
    assert caught.value.name in ("no-such-topic", "no-such-task")
