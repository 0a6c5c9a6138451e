"""The parts of the client that need no gateway."""

from __future__ import annotations

import os
import pickle
import random
from datetime import datetime, timedelta, timezone
from importlib.metadata import files

import pytest
from brrr_client import (
    Failure,
    InvalidInputError,
    JobCancelledError,
    NotFoundError,
    ResultForgottenError,
    WaitTimeoutError,
)
from brrr_client._core.settings import Settings
from brrr_client._core.sse import Decoder, Message
from brrr_client._core.steps import Request
from brrr_client._core.text import Duration, bound_text, duration_text, from_json, path, size, time_of, time_text

STREAM = (
    "\ufeff: hello\n\nid: 1\nevent: task\ndata: {\"a\": \"\u2028\u0085\x0b\"}\n\n"
    "id:2\r\ndata: one\r\ndata:two\r\n\r\n:\r\rdata\rid: 3\revent: job\r\revent: without data\n\ndata: no id\n\nid: 4\ndata: cut"
)
MESSAGES = [
    Message("1", "task", '{"a": "\u2028\u0085\x0b"}'),
    Message("2", "message", "one\ntwo"),
    Message("3", "job", ""),
    Message("3", "message", "no id"),
]


def test_a_stream_in_any_pieces() -> None:
    seed = int(os.environ.get("BRRR_SEED", random.randrange(2**32)))
    print(f"seed {seed}")
    dice = random.Random(seed)
    stream = STREAM.encode()
    for most in [1, 2, 3, 5, 10, len(stream)] * 50:
        decoder, found, rest = Decoder(), list[Message](), stream
        while rest:
            size = dice.randint(1, most)
            found += decoder.feed(rest[:size])
            rest = rest[size:]
        assert found == MESSAGES


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(minutes=5), "300000ms"),
        (1, "1000ms"),
        (0.1, "100ms"),
        (0.0001, "1ms"),
        (timedelta(microseconds=1), "1ms"),
        (0, "0ms"),
        ("1h 30m", "1h 30m"),
    ],
)
def test_durations(duration: Duration, text: str) -> None:
    assert duration_text(duration) == text


@pytest.mark.parametrize("duration", [-1, timedelta(seconds=-1), float("nan"), float("inf")])
def test_durations_that_are_none(duration: Duration) -> None:
    with pytest.raises(ValueError):
        duration_text(duration)


def test_times() -> None:
    time = datetime(2026, 3, 29, 3, 0, 0, 123_000, tzinfo=timezone(timedelta(hours=2)))
    assert time_text(time) == "2026-03-29T01:00:00.123Z"
    assert time_of("2026-03-29T01:00:00.123Z") == time
    assert time_text(datetime(2026, 1, 1, tzinfo=timezone.utc)) == "2026-01-01T00:00:00.000Z"


def test_sizes() -> None:
    assert [size(each) for each in (0, 17, "17", "500MiB", "2 GiB")] == [0, 17, 17, 500 * 2**20, 2 * 2**30]
    for wrong in (-1, "", "1.5GiB", "2GB", "many"):
        with pytest.raises(ValueError, match="is not a size"):
            size(wrong)


def test_bounds_of_a_listing() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    assert bound_text(timedelta(hours=1, microseconds=1), now) == "2026-01-01T11:00:00.000Z"
    assert bound_text(now, now) == "2026-01-01T12:00:00.000Z"
    assert bound_text(now + timedelta(microseconds=1), now) == "2026-01-01T12:00:00.001Z"
    for wrong in (timedelta(seconds=-1), timedelta.max, datetime(2026, 1, 1)):
        with pytest.raises(ValueError):
            bound_text(wrong, now)


def test_numbers_of_any_length() -> None:
    assert from_json(b"[" + b"9" * 5000 + b"]") == [10**5000 - 1]


def test_urls_keep_what_is_in_names() -> None:
    settings = Settings.of("http://localhost:1/prefix/", None, 1, 1)
    request = Request("GET", path("topics", "a/b c?é%2F", "schedules"), {"cursor": "a+b&c=é"})
    url = str(settings.address(request))
    assert url == "http://localhost:1/prefix/v1/topics/a%2Fb%20c%3F%C3%A9%252F/schedules?cursor=a%2Bb%26c%3D%C3%A9"


def test_errors_survive_pickling() -> None:
    failure = Failure("cancelled", "fib", "why", 2, ("fib: why",), {"code": 1})
    for error in (
        JobCancelledError("a", failure),
        WaitTimeoutError("a", 1.5),
        ResultForgottenError("a"),
        NotFoundError(404, "no-such-job", "no job a", {"type": "x"}),
        InvalidInputError(422, "invalid-input", "no", {"errors": [{"pointer": "/n", "message": "no"}]}),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error) and str(copy) == str(error) and copy.__dict__ == error.__dict__
    assert str(NotFoundError(404, "no-such-job", "no job a")) == "no job a (404 no-such-job)"


def test_it_is_a_typed_package() -> None:
    assert "brrr_client/py.typed" in {str(file) for file in files("brrr-client") or ()}
