"""The operations of topics, their schedules and their dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brrr_client._core.problems import error_of, read
from brrr_client._core.repeat import Repeat, attempts, exchange
from brrr_client._core.settings import Settings
from brrr_client._core.steps import Operation, Request
from brrr_client._core.text import Duration, duration_text, path, to_json
from brrr_client.documents import DeadLetterInfo, JobInfo, ScheduleInfo, TopicDetails, TopicInfo
from brrr_client.options import Input, JobOptions, input_body, options_body, unknown


def topics(settings: Settings) -> Operation[list[TopicInfo]]:
    """The topics of the gateway."""
    answer = yield from exchange(settings, Request("GET", path("topics")))
    return read(answer, lambda document: [TopicInfo.parse(each) for each in document["topics"]])


def topic(settings: Settings, name: str) -> Operation[TopicDetails]:
    """A topic with its tasks."""
    return read((yield from exchange(settings, Request("GET", path("topics", name)))), TopicDetails.parse)


def schedules(settings: Settings, topic: str) -> Operation[list[ScheduleInfo]]:
    """The schedules of a topic."""
    answer = yield from exchange(settings, Request("GET", path("topics", topic, "schedules")))
    return read(answer, lambda document: [ScheduleInfo.parse(each) for each in document["schedules"]])


def put_schedule(
    settings: Settings,
    topic: str,
    name: str,
    input: Input,
    catch_up: Duration | None,
    members: Mapping[str, object],
    options: Mapping[str, object],
) -> Operation[ScheduleInfo]:
    """Creates a schedule, or replaces it."""
    unknown(options, JobOptions)
    body: dict[str, Any] = {member: value for member, value in members.items() if value is not None}
    body |= input_body(input)
    if catch_up is not None:
        body["catch_up"] = duration_text(catch_up)
    if given := options_body(options):
        body["options"] = given
    request = Request("PUT", path("topics", topic, "schedules", name), content=to_json(body))
    return read((yield from exchange(settings, request)), ScheduleInfo.parse)


def schedule(settings: Settings, topic: str, name: str) -> Operation[ScheduleInfo]:
    """The schedule as it is now."""
    return read((yield from exchange(settings, Request("GET", path("topics", topic, "schedules", name)))), ScheduleInfo.parse)


def turn_schedule(settings: Settings, topic: str, name: str, what: str) -> Operation[ScheduleInfo]:
    """Pauses a schedule, or resumes it."""
    request = Request("POST", path("topics", topic, "schedules", name, what))
    return read((yield from exchange(settings, request)), ScheduleInfo.parse)


def run_schedule(settings: Settings, topic: str, name: str) -> Operation[JobInfo]:
    """Starts a job of a schedule now."""
    # A second request would start a second job.
    request = Request("POST", path("topics", topic, "schedules", name, "run"))
    return read((yield from exchange(settings, request, Repeat.UNDONE)), JobInfo.parse)


def delete_schedule(settings: Settings, topic: str, name: str) -> Operation[None]:
    """Deletes a schedule."""
    yield from remove(settings, Request("DELETE", path("topics", topic, "schedules", name)))


def dead_letters(settings: Settings, topic: str, limit: int | None) -> Operation[list[DeadLetterInfo]]:
    """The dead letters of a topic."""
    query = {} if limit is None else {"limit": str(limit)}
    answer = yield from exchange(settings, Request("GET", path("topics", topic, "dead-letters"), query))
    return read(answer, lambda document: [DeadLetterInfo.parse(each) for each in document["dead_letters"]])


def send_dead_letter(settings: Settings, topic: str, id: str) -> Operation[None]:
    """Sends a dead letter to its topic again."""
    yield from remove(settings, Request("POST", path("topics", topic, "dead-letters", id, "send")))


def delete_dead_letter(settings: Settings, topic: str, id: str) -> Operation[None]:
    """Deletes a dead letter."""
    yield from remove(settings, Request("DELETE", path("topics", topic, "dead-letters", id)))


def remove(settings: Settings, request: Request) -> Operation[None]:
    """Sends a request that removes a thing. If a later attempt does not find it, an earlier one removed it."""
    answer, maybe_done = yield from attempts(settings, request)
    if answer.status >= 300 and not (maybe_done and answer.status == 404):
        raise error_of(answer)
