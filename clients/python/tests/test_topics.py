"""Topics, schedules, dead letters."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from brrr_client import ApiError, Client, NotFoundError
from host import Host
from support import eventually


def test_topics(client: Client) -> None:
    (topic,) = client.topics()
    assert topic.name == "demo" and topic.depth >= 0
    assert {"fib", "hello", "described"} <= set(topic.tasks)


def test_topic(client: Client) -> None:
    topic = client.topic("demo")
    assert topic.name == "demo" and topic.depth >= 0
    (task,) = [task for task in topic.tasks if task.name == "described"]
    assert task.description == "Repeats a text."
    assert set(task.input_schema["required"]) == {"text", "times"}
    assert task.output_schema["type"] == "string"
    with pytest.raises(NotFoundError) as caught:
        client.topic("no/where")
    assert caught.value.name == "no-such-topic"


def test_schedule(client: Client) -> None:
    schedule = client.schedule("demo", "nightly.e-1")
    with pytest.raises(NotFoundError) as caught:
        schedule.status()
    assert caught.value.name == "no-such-schedule"
    made = schedule.put(
        cron="0 3 * * *",
        task="hello",
        input={"greetee": "night"},
        tz="Europe/Berlin",
        overlap="skip",
        catch_up=timedelta(hours=1),
        timeout="30m",
        max_retries=2,
    )
    assert (made.name, made.topic, made.task, made.cron, made.tz) == ("nightly.e-1", "demo", "hello", "0 3 * * *", "Europe/Berlin")
    assert (made.input, made.overlap, made.paused, made.last) == ({"greetee": "night"}, "skip", False, None)
    assert made.options["max_retries"] == 2 and made.options["timeout"] and made.catch_up
    assert made.next is not None and made.next > datetime.now(timezone.utc)
    assert schedule.status() == made and made in client.schedules("demo")
    assert schedule.pause().paused and schedule.status().paused
    assert not schedule.resume().paused
    assert schedule.run().result(timeout=60) == "Hello, night!"
    replaced = schedule.put(cron="*/5 * * * *", task="noop", paused=True)
    assert (replaced.cron, replaced.task, replaced.paused) == ("*/5 * * * *", "noop", True)
    schedule.delete()
    with pytest.raises(NotFoundError):
        schedule.delete()
    assert "nightly.e-1" not in [each.name for each in client.schedules("demo")]


def test_a_schedule_with_a_raw_payload(client: Client) -> None:
    schedule = client.schedule("demo", "raw")
    assert schedule.put(cron="0 3 1 1 *", task="echo", input=b"\x00\xff").input == b"\x00\xff"
    assert schedule.run().result(timeout=60) == b"\x00\xff"
    schedule.delete()


def test_a_schedule_that_makes_no_sense(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        client.schedule("demo", "wrong").put(cron="every other day", task="noop")
    assert caught.value.status in (400, 422) and caught.value.detail
    of_a_start: Any = {"key": "a"}
    with pytest.raises(TypeError, match="'key'"):
        client.schedule("demo", "wrong").put(cron="* * * * *", task="noop", **of_a_start)


def put_dead_letters(folder: Path, count: int) -> None:
    """Writes dead letters as a worker does. A real one needs a call that kills its workers several times."""
    with closing(sqlite3.connect(folder / ".brrr/state.db", timeout=30)) as file, file:
        for number in range(count):
            row = ("demo", f"garbage {number}", "no message", int(time.time() * 1000))
            file.execute("INSERT INTO dead_letter (topic, body, reason, at) VALUES (?, ?, ?, ?)", row)


def test_dead_letters(client: Client, host: Host) -> None:
    assert client.dead_letters("demo") == []
    put_dead_letters(host.folder, 3)
    dead = client.dead_letters("demo")
    assert {(each.body, each.reason, each.job) for each in dead} == {(f"garbage {n}", "no message", None) for n in range(3)}
    assert all(abs(datetime.now(timezone.utc) - each.at) < timedelta(minutes=5) for each in dead)
    assert len(client.dead_letters("demo", limit=2)) == 2
    client.dead_letter("demo", dead[0].id).delete()
    assert {each.id for each in client.dead_letters("demo")} == {each.id for each in dead[1:]}
    with pytest.raises(NotFoundError) as caught:
        client.dead_letter("demo", dead[0].id).delete()
    assert caught.value.name == "no-such-dead-letter"
    # A worker can't read it, so it comes back as another dead letter.
    client.dead_letter("demo", dead[1].id).send()

    def came_back() -> bool:
        bodies = {each.id: each.body for each in client.dead_letters("demo")}
        return dead[1].id not in bodies and dead[1].body in bodies.values()

    eventually("the letter that was sent", came_back)
    with pytest.raises(NotFoundError):
        client.dead_letter("demo", dead[1].id).send()
    for each in client.dead_letters("demo"):
        client.dead_letter("demo", each.id).delete()
