"""Events, also over connections that break."""

from __future__ import annotations

import os
import random
from collections.abc import Generator
from contextlib import closing
from itertools import islice

import pytest
from brrr_client import Client, ConnectionFailedError, Event, Job
from conftest import Connect
from proxy import Plan, Proxy
from support import HOUR_MS, alone, eventually


def published(job: Job) -> list[Event]:
    """The events of a job from the log. A worker publishes them after some time. Until then the gateway makes up the end."""

    def look() -> list[Event] | None:
        events = list(job.events())
        return events if events[-1].worker is not None else None

    found: list[Event] = eventually("the events of the job", look)
    return found


def test_the_events_of_a_job(client: Client) -> None:
    job = client.start_with("demo", "flaky", {"until": 2}, scope="job", label="for people")
    events = published(job)
    last = events[-1]
    assert (last.subject, last.job, last.to_state, last.is_end) == ("job", job.id, "completed", True)
    assert not any(event.is_end for event in events[:-1])
    assert {(event.job, event.topic) for event in events} == {(job.id, "demo")}
    again = next(event for event in events if event.retry_in is not None)
    assert again.subject == "task" and again.task == "flaky"
    assert again.failure is not None and "attempt 1 fails" in again.failure.message
    assert [event.id for event in events] == list(dict.fromkeys(event.id for event in events))
    assert all(event.at.tzinfo is not None and event.worker for event in events)


def test_the_events_of_a_job_that_is_over(client: Client) -> None:
    job = alone(client, "fails", message="no")
    job.wait(timeout=60)
    last = list(job.events())[-1]
    assert last.is_end and last.to_state == "failed"


def test_events_after_one(client: Client) -> None:
    job = client.start_with("demo", "fib", {"n": 3, "salt": "after"}, scope="job")
    events = published(job)
    assert len(events) > 4
    assert list(job.events(after=events[2].id)) == events[3:]


def test_a_reader_may_stop(client: Client) -> None:
    job = alone(client, "sleeps", ms=HOUR_MS)
    with closing(job.events()) as events:
        assert next(iter(events)).job == job.id
    assert job.cancel().is_over


def test_the_events_of_all(client: Client) -> None:
    job = alone(client, "noop")
    with closing(client.events(topic="demo", after="0")) as events:
        end = next(event for event in events if event.job == job.id and event.is_end)
    with closing(client.events(job=job, after="0")) as events:
        assert next(event for event in events if event.is_end) == end
    other = alone(client, "noop")
    with closing(client.events(after=end.id)) as events:
        assert next(event for event in events if event.is_end and event.job == other.id).at >= end.at


def test_the_events_from_now_on(client: Client) -> None:
    before = alone(client, "noop")
    before.wait(timeout=60)
    job = alone(client, "sleeps", ms=1000)
    with closing(client.events()) as events:
        assert next(event for event in events if event.job == job.id and event.is_end).to_state == "completed"


def test_no_event_is_lost_or_repeated_by_cuts(client: Client, connect: Connect, proxy: Proxy) -> None:
    seed = int(os.environ.get("BRRR_SEED", random.randrange(2**32)))
    print(f"seed {seed}")
    dice = random.Random(seed)
    proxy.otherwise = lambda: Plan(cut_after=dice.randint(0, 12_000), reset=dice.random() < 0.3)
    job = client.start_with("demo", "fib", {"n": 8, "salt": f"cuts {seed}"}, scope="job")
    through = connect(proxy.url, retries=50)
    while_it_runs = list(through.job(job).events())
    afterwards = list(through.job(job).events())
    expected = list(job.events())
    assert len(expected) > 100
    assert while_it_runs == expected
    assert afterwards == expected
    assert proxy.cuts > 5


def test_an_end_of_a_stream_is_no_end_of_the_job(client: Client, connect: Connect, proxy: Proxy) -> None:
    # A gateway that stops ends its answer without the end of the job.
    proxy.plans.append(Plan(say=b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: hello\n\n"))
    job = alone(client, "noop")
    events = list(connect(proxy.url).job(job).events())
    assert events == list(job.events()) and events[-1].is_end


def test_a_gateway_that_stays_away(client: Client, connect: Connect, proxy: Proxy) -> None:
    job = alone(client, "sleeps", ms=HOUR_MS)
    events: Generator[Event, None, None] = connect(proxy.url, retries=2).job(job).events()
    assert list(islice(events, 1))
    proxy.close()
    with pytest.raises(ConnectionFailedError, match="3 attempts"):
        list(events)
    job.cancel()
