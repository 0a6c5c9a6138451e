"""The documents of the API as frozen dataclasses. Times are in UTC. Members that this version does not know are ignored."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from brrr_client._core.text import milliseconds_or_none, time_of, time_or_none

__all__ = [
    "CallInfo",
    "ComponentInfo",
    "DeadLetterInfo",
    "Event",
    "Failure",
    "JobInfo",
    "JobState",
    "LogLevel",
    "LogLine",
    "PromiseInfo",
    "PushedRevision",
    "RevisionInfo",
    "ScheduleInfo",
    "TaskInfo",
    "TaskState",
    "TopicDetails",
    "TopicInfo",
    "Tree",
]

JobState = Literal["scheduled", "running", "completed", "failed", "cancelled", "timed-out"]
TaskState = Literal["unscheduled", "ready", "running", "deferred", "completed", "failed", "cancelled", "timed-out"]
LogLevel = Literal["trace", "debug", "info", "warn", "error"]

OVER = ("completed", "failed", "cancelled", "timed-out")


@dataclass(frozen=True)
class Failure:
    """Why a call ended without a value."""

    kind: str
    """error, permanent, trap, timeout, limit, cancelled, unknown-task, rejected, … or a kind that the handler chose."""
    task: str
    """The task of the failed call."""
    message: str
    """The message of the first cause."""
    attempts: int
    """The number of runs of the handler for this call."""
    chain: tuple[str, ...]
    """One line for each call, from this call down to the first cause."""
    details: Any
    """What the handler attached to its error, or None."""

    @classmethod
    def parse(cls, document: Any) -> Failure:
        """Reads it from JSON."""
        return cls(
            kind=document["kind"],
            task=document["task"],
            message=document["message"],
            attempts=document["attempts"],
            chain=tuple(document.get("chain") or ()),
            details=document.get("details"),
        )


def _failure_or_none(document: Any) -> Failure | None:
    return None if document is None else Failure.parse(document)


@dataclass(frozen=True)
class JobInfo:
    """A job at one time."""

    id: str
    state: JobState
    topic: str
    task: str | None
    call: str
    """The hash of the job's call."""
    created: datetime
    starts: datetime | None
    """When a delayed job starts."""
    ended: datetime | None
    duration: timedelta | None
    """The time from the start to the end of the job, or until now."""
    deadline: datetime | None
    label: str | None
    """A name for people."""
    retry_of: str | None
    """The id of the job that this job retries."""
    messages: int | None
    """The number of messages that the job has used."""
    result: Any
    """The value of a completed job. Bytes if the value is not JSON. None in a list, because lists have no results."""
    failure: Failure | None
    """The failure of a job that failed, was cancelled or timed out. None in a list."""
    forgotten: bool
    """Was the value removed from the store after the job completed?"""

    @property
    def is_over(self) -> bool:
        """Is the job completed, failed, cancelled or timed out?"""
        return self.state in OVER

    @classmethod
    def parse(cls, document: Any) -> JobInfo:
        """Reads it from JSON."""
        encoded = document.get("result_base64")
        return cls(
            id=document["job"],
            state=document["state"],
            topic=document["topic"],
            task=document.get("task"),
            call=document["call"],
            created=time_of(document["created"]),
            starts=time_or_none(document.get("starts")),
            ended=time_or_none(document.get("ended")),
            duration=milliseconds_or_none(document.get("duration_ms")),
            deadline=time_or_none(document.get("deadline")),
            label=document.get("label"),
            retry_of=document.get("retry_of"),
            messages=document.get("messages"),
            result=document.get("result") if encoded is None else base64.b64decode(encoded),
            failure=_failure_or_none(document.get("failure")),
            forgotten=bool(document.get("forgotten")),
        )


@dataclass(frozen=True)
class PromiseInfo:
    """A promise that a job waits for."""

    name: str
    call: str

    @classmethod
    def parse(cls, document: Any) -> PromiseInfo:
        """Reads it from JSON."""
        return cls(name=document["name"], call=document["call"])


@dataclass(frozen=True)
class CallInfo:
    """A call in the tree of a job."""

    task: str | None
    promise: str | None
    """The name of the promise, if the call is a promise."""
    call: str
    state: str
    label: str | None
    see_above: bool
    """The tree has this call already, with its children."""
    attempt: int | None
    duration: timedelta | None
    waits_until: datetime | None
    """The end of the sleep or time limit that the call waits for."""
    next_attempt_at: datetime | None
    failure: Failure | None
    children: tuple[CallInfo, ...]
    left_out: int
    """The number of children that are missing here because the tree is too large."""

    @classmethod
    def parse(cls, document: Any) -> CallInfo:
        """Reads it from JSON."""
        return cls(
            task=document.get("task"),
            promise=document.get("promise"),
            call=document["call"],
            state=document["state"],
            label=document.get("label"),
            see_above=bool(document.get("see_above")),
            attempt=document.get("attempt"),
            duration=milliseconds_or_none(document.get("duration_ms")),
            waits_until=time_or_none(document.get("waits_until")),
            next_attempt_at=time_or_none(document.get("next_attempt_at")),
            failure=_failure_or_none(document.get("failure")),
            children=tuple(cls.parse(child) for child in document.get("children") or ()),
            left_out=document.get("left_out") or 0,
        )


@dataclass(frozen=True)
class Tree:
    """The calls of a job."""

    root: CallInfo
    cut: bool
    """Are calls missing, because the tree is too deep or too large?"""

    @classmethod
    def parse(cls, document: Any) -> Tree:
        """Reads it from JSON."""
        return cls(root=CallInfo.parse(document["tree"]), cut=document["cut"])


@dataclass(frozen=True)
class LogLine:
    """A line that a call has logged or printed."""

    time: datetime
    level: LogLevel
    """What was printed to stdout or stderr has `info`."""
    stream: Literal["log", "stdout", "stderr"]
    """Where the line comes from."""
    text: str
    fields: Mapping[str, str]
    """The fields that were logged with it."""
    call: str
    """The hash of the call."""
    task: str | None
    attempt: int
    """In which attempt of the call, from 1."""
    number: int
    """The number of the line among all lines of the call in the job, from 0. The oldest lines may not be kept."""
    left_out: int
    """How many bytes of a long line are left out."""

    @classmethod
    def parse(cls, document: Any) -> LogLine:
        """Reads it from JSON."""
        return cls(
            time=time_of(document["time"]),
            level=document["level"],
            stream=document["stream"],
            text=document["text"],
            fields=document.get("fields") or {},
            call=document["call"],
            task=document.get("task"),
            attempt=document["attempt"],
            number=document["number"],
            left_out=document.get("left_out") or 0,
        )


@dataclass(frozen=True)
class Event:
    """A change of the state of a job or call."""

    id: str
    """The position in the log of events. `events(after=event.id)` continues after this event."""
    at: datetime
    subject: Literal["task", "job"]
    job: str
    call: str
    task: str | None
    label: str | None
    topic: str
    from_state: TaskState
    to_state: TaskState
    attempt: int
    failure: Failure | None
    retry_in: timedelta | None
    waiting: int | None
    """The number of calls that the call waits for."""
    worker: str | None
    """None: the gateway made the event from the state of the job, because the log had no event of the job's end."""

    @property
    def is_end(self) -> bool:
        """Is the job over with this event?"""
        return self.subject == "job" and self.to_state in OVER

    @classmethod
    def parse(cls, id: str, document: Any) -> Event:
        """Reads it from JSON."""
        return cls(
            id=id,
            at=time_of(document["at"]),
            subject=document["subject"],
            job=document["job"],
            call=document["call"],
            task=document.get("task"),
            label=document.get("label"),
            topic=document["topic"],
            from_state=document["from"],
            to_state=document["to"],
            attempt=document["attempt"],
            failure=_failure_or_none(document.get("failure")),
            retry_in=milliseconds_or_none(document.get("retry_in_ms")),
            waiting=document.get("waiting"),
            worker=document.get("worker"),
        )


@dataclass(frozen=True)
class TopicInfo:
    """A topic in a list."""

    name: str
    depth: int
    """The number of messages in the queue."""
    tasks: tuple[str, ...]

    @classmethod
    def parse(cls, document: Any) -> TopicInfo:
        """Reads it from JSON."""
        return cls(name=document["topic"], depth=document["depth"], tasks=tuple(document["tasks"]))


@dataclass(frozen=True)
class TaskInfo:
    """A task that a worker of the topic has announced."""

    name: str
    description: str | None
    input_schema: Any
    """A JSON schema, or None."""
    output_schema: Any

    @classmethod
    def parse(cls, document: Any) -> TaskInfo:
        """Reads it from JSON."""
        return cls(
            name=document["task"],
            description=document.get("description"),
            input_schema=document.get("input_schema"),
            output_schema=document.get("output_schema"),
        )


@dataclass(frozen=True)
class TopicDetails:
    """A topic with the descriptions and schemas of its tasks."""

    name: str
    depth: int
    """The number of messages in the queue."""
    tasks: tuple[TaskInfo, ...]

    @classmethod
    def parse(cls, document: Any) -> TopicDetails:
        """Reads it from JSON."""
        tasks = tuple(TaskInfo.parse(task) for task in document["tasks"])
        return cls(name=document["topic"], depth=document["depth"], tasks=tasks)


@dataclass(frozen=True)
class ScheduleInfo:
    """A schedule: it starts jobs at the times of a cron expression."""

    name: str
    topic: str
    task: str
    cron: str
    tz: str | None
    input: Any
    """The arguments of each job by name, or its raw payload as bytes."""
    options: Mapping[str, Any]
    """The options of each job, in the form of the API."""
    overlap: Literal["allow", "skip", "cancel-previous"] | None
    catch_up: str | None
    paused: bool
    next: datetime | None
    last: datetime | None
    last_job: str | None

    @classmethod
    def parse(cls, document: Any) -> ScheduleInfo:
        """Reads it from JSON."""
        encoded = document.get("payload_base64")
        return cls(
            name=document["name"],
            topic=document["topic"],
            task=document["task"],
            cron=document["cron"],
            tz=document.get("tz"),
            input=document.get("input") if encoded is None else base64.b64decode(encoded),
            options=document.get("options") or {},
            overlap=document.get("overlap"),
            catch_up=document.get("catch_up"),
            paused=bool(document.get("paused")),
            next=time_or_none(document.get("next")),
            last=time_or_none(document.get("last")),
            last_job=document.get("last_job"),
        )


@dataclass(frozen=True)
class DeadLetterInfo:
    """A dead letter: a message that no worker could process."""

    id: str
    job: str | None
    """None if the message can't be decoded."""
    call: str | None
    task: str | None
    reason: str
    at: datetime
    body: str
    """The message."""
    payload: str | None
    """The payload of the call."""
    failure: Failure | None
    """The failure of the call."""

    @classmethod
    def parse(cls, document: Any) -> DeadLetterInfo:
        """Reads it from JSON."""
        return cls(
            id=str(document["id"]),
            job=document.get("job"),
            call=document.get("call"),
            task=document.get("task"),
            reason=document["reason"],
            at=time_of(document["at"]),
            body=document["body"],
            payload=document.get("payload"),
            failure=_failure_or_none(document.get("failure")),
        )


@dataclass(frozen=True)
class ComponentInfo:
    """A component in the store."""

    digest: str
    """`sha256:` and its digest."""
    size: int
    """Its size in bytes."""
    sdk: str
    tasks: tuple[str, ...]
    chunks: int | None
    """The number of its parts, if it was uploaded just now."""
    new_chunks: int | None
    """The number of parts that were not in the store, if it was uploaded just now."""
    new_bytes: int | None
    """The compressed bytes of these parts, if it was uploaded just now."""

    @classmethod
    def parse(cls, document: Any) -> ComponentInfo:
        """Reads it from JSON."""
        return cls(
            digest=document["digest"],
            size=document["size"],
            sdk=document["sdk"],
            tasks=tuple(document["tasks"]),
            chunks=document.get("chunks"),
            new_chunks=document.get("new_chunks"),
            new_bytes=document.get("new_bytes"),
        )


@dataclass(frozen=True)
class PushedRevision:
    """What became of a push."""

    topic: str
    revision: int
    percent: int
    """The part of new jobs that it takes now. 0: not all workers have loaded it yet. The same push again goes on."""
    new: bool
    """False: the newest revision has had these components already."""
    loaded: tuple[str, ...]
    """The workers that have loaded it."""
    silent: tuple[str, ...]
    """The workers that have not said yet what became of it."""

    @classmethod
    def parse(cls, document: Any) -> PushedRevision:
        """Reads it from JSON."""
        return cls(
            topic=document["topic"],
            revision=document["revision"],
            percent=document["percent"],
            new=document["new"],
            loaded=tuple(document["loaded"]),
            silent=tuple(document["silent"]),
        )


@dataclass(frozen=True)
class RevisionInfo:
    """A revision of a topic's code."""

    topic: str
    revision: int
    pushed: datetime
    percent: int
    """The part of new jobs that it takes."""
    components: dict[str, str]
    """The digests of its components, by their names."""
    note: str
    by: str
    restores: int | None
    """The revision whose code it has, after a rollback."""
    workers: dict[str, Any]
    """What has become of it on the workers that run: "loading", "loaded", or {"failed": reason}."""

    @classmethod
    def parse(cls, document: Any) -> RevisionInfo:
        """Reads it from JSON."""
        return cls(
            topic=document["topic"],
            revision=document["revision"],
            pushed=time_of(document["from"]),
            percent=document["percent"],
            components={each["name"]: each["digest"] for each in document["components"]},
            note=document["note"],
            by=document["by"],
            restores=document["restores"],
            workers=dict(document["workers"]),
        )
