"""Reads events. A broken connection is replaced by a new one, which continues after the last event."""

from __future__ import annotations

import time
from collections.abc import Callable

from brrr_client._core.problems import error_of
from brrr_client._core.repeat import NO_ANSWER_YET, cause, failed, pause_before
from brrr_client._core.settings import Settings
from brrr_client._core.sse import Decoder, Message
from brrr_client._core.steps import Answer, Broken, Give, Listing, Open, Pause, Read, Request
from brrr_client._core.text import from_json, path
from brrr_client.documents import Event
from brrr_client.errors import ConnectionFailedError, UnexpectedAnswerError

SILENCE = 45.0
"""Seconds. The gateway writes a comment every 15 s. A connection without a byte for three times as long is dead."""

LONG = 10.0
"""Seconds. A connection that lasts so long does not count as a failure, even if it brings no event."""

NAMES = ("task", "job")


def of_job(settings: Settings, job_id: str, after: str | None) -> Listing[Event]:
    """The events of a job, up to its end."""
    return follow(settings, path("jobs", job_id, "events"), {}, after, lambda event: event.is_end)


def of_all(settings: Settings, topic: str | None, job_id: str | None, after: str | None) -> Listing[Event]:
    """The events of all jobs. They do not end."""
    query = {name: value for name, value in (("topic", topic), ("job", job_id)) if value is not None}
    return follow(settings, path("events"), query, after, lambda event: False)


def follow(
    settings: Settings, where: str, query: dict[str, str], after: str | None, is_last: Callable[[Event], bool]
) -> Listing[Event]:
    """The events after the event with the id `after`, up to the last one."""
    failures = 0
    while True:
        # Without compression, because a compressor may hold an event back until more events come.
        headers = {"accept": "text/event-stream", "accept-encoding": "identity"}
        if after is not None:
            headers["last-event-id"] = after
        request = Request("GET", where, query, headers, read_timeout=SILENCE)
        outcome = yield Open(request)
        assert isinstance(outcome, (Answer, Broken))
        if isinstance(outcome, Answer) and outcome.status == 200:
            decoder, opened = Decoder(), time.monotonic()
            while isinstance(piece := (yield Read()), bytes):
                messages = decoder.feed(piece)
                if messages or time.monotonic() - opened > LONG:
                    failures = 0
                after = decoder.last_id or after
                for message in messages:
                    if message.name not in NAMES:
                        continue
                    event = event_of(message)
                    yield Give(event)
                    if is_last(event):
                        return
            # A gateway that stops ends its streams without an error.
            outcome = piece if isinstance(piece, Broken) else Broken(ConnectionFailedError("the stream ended"), sent=True)
        elif isinstance(outcome, Answer) and outcome.status not in NO_ANSWER_YET:
            raise error_of(outcome)
        failures += 1
        if failures > settings.retries:
            raise failed(request, outcome, failures, False) from cause(outcome)
        yield Pause(pause_before(failures, outcome))


def event_of(message: Message) -> Event:
    """The event of a message. Raises UnexpectedAnswerError if the message is not in the form of the API."""
    try:
        return Event.parse(message.id, from_json(message.data.encode()))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UnexpectedAnswerError(f"the event {message.id!r} can't be read: {type(error).__name__}: {error}") from error
