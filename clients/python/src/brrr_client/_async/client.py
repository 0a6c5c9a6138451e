"""The asyncio client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

import httpx

from brrr_client._core import code, events, jobs, topics
from brrr_client._core.jobs import HasId, id_of
from brrr_client._core.settings import RETRIES, TIMEOUT, Settings
from brrr_client._async.handles import AsyncDeadLetter, AsyncJob, AsyncPromise, AsyncSchedule
from brrr_client._async.shell import Shell
from brrr_client.documents import (
    ComponentInfo,
    DeadLetterInfo,
    Event,
    JobInfo,
    JobState,
    PushedRevision,
    RevisionInfo,
    ScheduleInfo,
    TopicDetails,
    TopicInfo,
)
from brrr_client.options import Input, StartOptions

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack


P = ParamSpec("P")
R = TypeVar("R")


class AsyncClient:
    """A client of a gateway of brrr-host, for asyncio. A client belongs to one event loop."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        http: httpx.AsyncClient | None = None,
        brrr_host: str | PathLike[str] | None = None,
        cache_size: int | str | None = None,
    ) -> None:
        """Makes no request yet.

        url: the address of the gateway. None: the environment variable BRRR_URL.
        token: the token of the gateway. None: the environment variable BRRR_HTTP_TOKEN. Empty: no token.

        timeout: the most seconds that an answer may take. The time for which a method waits for a job is not counted.
        retries: how often the client repeats a request when the network or the gateway fails.
        http: an httpx client to use, for example with a proxy or with certificates. The caller closes it.
        brrr_host: the program that builds components for `call`. None: the environment variable BRRR_HOST, or the PATH.
        cache_size: how much space the cache of `call` may take, in bytes or as a text such as "500MiB". None: the environment variable
        BRRR_CLIENT_CACHE_SIZE, or 2 GiB. All programs of a user share the cache, and each applies its own limit when it cleans.

        Raises ValueError if the URL, the token or the size can't be used.
        """
        self._shell = Shell(Settings.of(url, token, timeout, retries, brrr_host, cache_size), http)

    async def aclose(self) -> None:
        """Closes the connections. A client of httpx that the caller gave stays open."""
        await self._shell.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._shell.settings.url!r}>"

    async def start(self, topic: str | None, task: str, /, **arguments: Any) -> AsyncJob:
        """Starts a job. All named arguments are arguments of the task. `start_with` takes options.

        topic: the topic of the task. It may be None if only one topic of the gateway has the task.

        Raises InvalidInputError if the arguments break the task's schema, NotFoundError if no worker has the task.
        """
        return AsyncJob(self._shell, (await self._shell.run(jobs.start, topic, task, arguments, {})).id)

    async def start_with(
        self, topic: str | None, task: str, input: Input = None, /, **options: Unpack[StartOptions]
    ) -> AsyncJob:
        """Starts a job with options, for example `key`, `delay` and `timeout`. StartOptions describes all of them.

        input: the arguments of the task by name, or the raw payload as bytes. All named arguments are options.

        Raises the errors of `start`, and ConflictError if the key was used for another call.
        """
        return AsyncJob(self._shell, (await self._shell.run(jobs.start, topic, task, input, options)).id)

    def job(self, job: HasId | str) -> AsyncJob:
        """A handle for the job with this id. This makes no request, so the job may not exist."""
        return AsyncJob(self._shell, id_of(job))

    def jobs(
        self,
        *,
        state: JobState | None = None,
        topic: str | None = None,
        task: str | None = None,
        label: str | None = None,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        page_size: int = 100,
    ) -> AsyncGenerator[JobInfo, None]:
        """The jobs with this state, topic, task and label, newest first. A job in a list has no result and no failure.

        since: only jobs that were accepted at this time or later. until: only jobs that were accepted before this time.
        A datetime needs a time zone. A timedelta means so long ago.

        The client requests a page when the caller needs it. page_size: the number of jobs of a page, 1 to 500.
        """
        return self._shell.each(jobs.listed, state, topic, task, label, since, until, page_size)

    def events(
        self, *, topic: str | None = None, job: HasId | str | None = None, after: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """The events of all jobs. They do not end. After a broken connection the client continues behind the last event.

        after: the id of an event. The first event is the one after it. None: the events from now on. "0": all events that the
        backend keeps.
        """
        return self._shell.each(events.of_all, topic, None if job is None else id_of(job), after)

    def promise(self, job: HasId | str, name: str) -> AsyncPromise:
        """A handle for the promise with this name of this job."""
        return AsyncPromise(self._shell, id_of(job), name)

    async def topics(self) -> list[TopicInfo]:
        """The topics of the gateway."""
        return await self._shell.run(topics.topics)

    async def topic(self, name: str) -> TopicDetails:
        """A topic, with the descriptions and schemas of its tasks."""
        return await self._shell.run(topics.topic, name)

    async def schedules(self, topic: str) -> list[ScheduleInfo]:
        """The schedules of a topic."""
        return await self._shell.run(topics.schedules, topic)

    def schedule(self, topic: str, name: str) -> AsyncSchedule:
        """A handle for the schedule with this name. The schedule may not exist yet."""
        return AsyncSchedule(self._shell, topic, name)

    async def dead_letters(self, topic: str, *, limit: int | None = None) -> list[DeadLetterInfo]:
        """The dead letters of a topic: messages that no worker could process.

        limit: the most dead letters to return. None: the gateway decides.
        """
        return await self._shell.run(topics.dead_letters, topic, limit)

    def dead_letter(self, topic: str, id: str) -> AsyncDeadLetter:
        """A handle for the dead letter with this id."""
        return AsyncDeadLetter(self._shell, topic, id)

    @overload
    async def call(self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Calls a function on a worker that accepts code, and returns its result.

        The first call builds a component of the module that the function is in, of the user's modules that it imports, and of the
        installed packages that these import, by `brrr-host build`, and uploads it. For that the client needs the push token. A
        later call with the same code ships nothing. Two calls with the same code and arguments share their result.

        Raises ShipError if the function can't be shipped, JobFailedError if it raises an error.
        """
        return await self._shell.run(code.call, function, args, kwargs, None, None, {})

    @overload
    async def call_with(
        self,
        function: Callable[..., Coroutine[Any, Any, R]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        /,
        *,
        topic: str | None = None,
        wait: float | None = None,
        **options: Unpack[StartOptions],
    ) -> R: ...
    @overload
    async def call_with(
        self,
        function: Callable[..., R],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        /,
        *,
        topic: str | None = None,
        wait: float | None = None,
        **options: Unpack[StartOptions],
    ) -> R: ...
    async def call_with(
        self,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        /,
        *,
        topic: str | None = None,
        wait: float | None = None,
        **options: Unpack[StartOptions],
    ) -> Any:
        """Calls a function as `call` does, with the options of a job, for example `scope="job"` or `timeout`.

        topic: the topic of the worker. None: a topic of the gateway whose workers accept code.
        wait: the longest time to wait for the result, in seconds. None: no limit.
        """
        return await self._shell.run(code.call, function, tuple(args), kwargs or {}, topic, wait, options)

    async def component(self, digest: str) -> ComponentInfo:
        """A component in the store: `sha256:…`. Raises NotFoundError if it is not there."""
        return await self._shell.run(code.component, digest)

    async def upload(self, component: bytes) -> ComponentInfo:
        """Uploads a component. It takes no jobs by that: `push` makes it a revision. The client needs the push token."""
        return await self._shell.run(code.upload, component)

    async def push(
        self,
        topic: str,
        components: Mapping[str, str] | Sequence[str],
        *,
        percent: int | None = None,
        note: str | None = None,
        by: str | None = None,
        keep: int | None = None,
        follow: Literal["pinned", "newest"] | None = None,
        wait: float | None = None,
    ) -> PushedRevision:
        """Pushes a revision of a topic's code. It takes jobs once every worker has loaded it. The client needs the push token.

        components: the digests of components that were uploaded, or these with names for people.
        percent: the part of new jobs that it takes. None: all.
        keep: how many of the newest revisions stay. follow: which revision runs a job. None: as before.
        wait: how many seconds the gateway waits for the workers, 60 at most. If they need longer, the revision takes no jobs yet; the
        same push again goes on.

        Raises ConflictError if a worker can't load it, NotFoundError if a component is not in the store.
        """
        members = {"percent": percent, "note": note, "by": by, "keep": keep, "follow": follow}
        return await self._shell.run(code.push, topic, components, wait, members)

    async def deployments(self, topic: str) -> list[RevisionInfo]:
        """The revisions of a topic's code, newest first."""
        return await self._shell.run(code.deployments, topic)

    async def ramp(self, topic: str, revision: int, percent: int) -> RevisionInfo:
        """Changes the part of new jobs that a revision takes. The client needs the push token."""
        return await self._shell.run(code.ramp, topic, revision, percent)

    async def rollback(self, topic: str, revision: int, *, note: str = "") -> RevisionInfo:
        """Lets the code of this revision take all new jobs, as a new revision, which is returned. The client needs the push token."""
        return await self._shell.run(code.rollback, topic, revision, note)

    async def remove_revision(self, topic: str, revision: int) -> None:
        """Removes a revision. Its jobs go on with the next newer one. The client needs the push token."""
        await self._shell.run(code.remove_revision, topic, revision)
