"""The operations of code: components, revisions, and calls of functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from brrr_client._core import jobs
from brrr_client._core.problems import read
from brrr_client._core.repeat import exchange
from brrr_client._core.settings import Settings
from brrr_client._core.steps import Operation, Request, work
from brrr_client._core.text import path, to_json
from brrr_client._core.topics import remove
from brrr_client._ship import values
from brrr_client.documents import ComponentInfo, PushedRevision, RevisionInfo
from brrr_client.errors import NotFoundError

UPLOAD = 600.0
"""Seconds. The gateway compiles a component before it answers, which may take a minute on a machine under load."""

LOADED = 30
"""Seconds that a push waits for the workers, unless the caller gives another time."""

LONGEST_WAIT = 60


def component(settings: Settings, digest: str) -> Operation[ComponentInfo]:
    """A component in the store."""
    return read((yield from exchange(settings, Request("GET", path("components", digest)))), ComponentInfo.parse)


def upload(settings: Settings, content: bytes) -> Operation[ComponentInfo]:
    """Uploads a component. What is there is not written again, so the request may be repeated."""
    headers = {"content-type": "application/wasm"}
    request = Request("POST", path("components"), headers=headers, content=content, read_timeout=UPLOAD)
    return read((yield from exchange(settings, request)), ComponentInfo.parse)


def push(
    settings: Settings,
    topic: str,
    components: Mapping[str, str] | Sequence[str],
    wait: float | None,
    members: Mapping[str, object],
) -> Operation[PushedRevision]:
    """Pushes a revision. The same push again goes on where the first one was."""
    named = components if isinstance(components, Mapping) else dict.fromkeys(components)
    body: dict[str, Any] = {member: value for member, value in members.items() if value is not None}
    body["components"] = [{"digest": digest} | ({"name": name} if name else {}) for digest, name in named.items()]
    held = int(min(max(LOADED if wait is None else wait, 0), LONGEST_WAIT))
    request = Request(
        "POST",
        path("topics", topic, "deployments"),
        headers={"prefer": f"wait={held}"},
        content=to_json(body),
        read_timeout=held + settings.timeout,
    )
    return read((yield from exchange(settings, request)), PushedRevision.parse)


def deployments(settings: Settings, topic: str) -> Operation[list[RevisionInfo]]:
    """The revisions of a topic, newest first."""
    answer = yield from exchange(settings, Request("GET", path("topics", topic, "deployments")))
    return read(answer, lambda document: [RevisionInfo.parse(each) for each in document["revisions"]])


def ramp(settings: Settings, topic: str, revision: int, percent: int) -> Operation[RevisionInfo]:
    """Changes the part of new jobs that a revision takes."""
    return (yield from change(settings, topic, revision, "ramp", {"percent": percent}))


def rollback(settings: Settings, topic: str, revision: int, note: str) -> Operation[RevisionInfo]:
    """Lets the code of an earlier revision take all new jobs."""
    return (yield from change(settings, topic, revision, "rollback", {"note": note}))


def change(
    settings: Settings, topic: str, revision: int, what: Literal["ramp", "rollback"], body: Mapping[str, object]
) -> Operation[RevisionInfo]:
    """Changes which revision takes jobs. The same request again changes nothing."""
    request = Request("POST", path("topics", topic, "deployments", str(revision), what), content=to_json(body))
    return read((yield from exchange(settings, request)), RevisionInfo.parse)


def remove_revision(settings: Settings, topic: str, revision: int) -> Operation[None]:
    """Removes a revision."""
    yield from remove(settings, Request("DELETE", path("topics", topic, "deployments", str(revision))))


def call(
    settings: Settings,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    topic: str | None,
    wait: float | None,
    options: Mapping[str, object],
) -> Operation[Any]:
    """Calls a function on a worker. What the gateway has not seen yet is built and uploaded."""
    # Only who ships a function needs what builds it, and that is not there on every system.
    from brrr_client._ship.project import content_of, task_of

    task = yield from work(lambda: task_of(function, settings))
    arguments = values.arguments(function, args, kwargs)
    try:
        job = yield from jobs.start(settings, topic, task, arguments, options)
    except NotFoundError as error:
        if error.name != "no-such-component":
            raise
        # Another program may have removed the component meanwhile. Then it is built again, and may have another name.
        task, content = yield from work(lambda: content_of(function, settings))
        yield from upload(settings, content)
        job = yield from jobs.start(settings, topic, task, arguments, options)
    return values.result(function, (yield from jobs.result(settings, job.id, wait)))
