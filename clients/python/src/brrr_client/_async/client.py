"""The client for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import httpx

from brrr_client._core import events, jobs, topics
from brrr_client._core.jobs import HasId, id_of
from brrr_client._core.settings import RETRIES, TIMEOUT, Settings
from brrr_client._async.handles import AsyncDeadLetter, AsyncJob, AsyncPromise, AsyncSchedule
from brrr_client._async.shell import Shell
from brrr_client.documents import DeadLetterInfo, Event, JobInfo, JobState, ScheduleInfo, TopicDetails, TopicInfo
from brrr_client.options import Input, StartOptions

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack


class AsyncClient:
    """A gateway of brrr-host, for asyncio. Belongs to one event loop."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """url, token: of the gateway; not given, BRRR_URL and BRRR_HTTP_TOKEN of the environment.

        timeout: how many seconds an answer may take, besides the time that a job is waited for.
        retries: how often a request is repeated when the network or the gateway fails.
        http: connections of your own (proxies, certificates). You close them yourself.
        """
        self._shell = Shell(Settings.of(url, token, timeout, retries), http)

    async def aclose(self) -> None:
        """Closes the connections."""
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
        """Starts a job. All named arguments are the task's; options are given to `start_with`.

        topic: None, if only one topic of the gateway has the task.

        Raises InvalidInputError if the task's schema does not allow the arguments, NotFoundError if nobody knows the task.
        """
        return AsyncJob(self._shell, (await self._shell.run(jobs.start, topic, task, arguments, {})).id)

    async def start_with(
        self, topic: str | None, task: str, input: Input = None, /, **options: Unpack[StartOptions]
    ) -> AsyncJob:
        """Starts a job with options: `key`, `delay`, `at`, `timeout`, … (StartOptions has them all).

        input: the task's arguments by name; bytes: the raw payload. All named arguments are options.

        Raises what `start` does, and ConflictError if the key was used for another call.
        """
        return AsyncJob(self._shell, (await self._shell.run(jobs.start, topic, task, input, options)).id)

    def job(self, job: HasId | str) -> AsyncJob:
        """The job of that id. Nobody is asked whether it exists."""
        return AsyncJob(self._shell, id_of(job))

    def jobs(
        self,
        *,
        state: JobState | None = None,
        topic: str | None = None,
        task: str | None = None,
        page_size: int = 100,
    ) -> AsyncGenerator[JobInfo, None]:
        """All jobs that fit, the newest first, without their results. page_size: how many are fetched at once, 1 to 500."""
        return self._shell.each(jobs.listed, state, topic, task, page_size)

    def events(
        self, *, topic: str | None = None, job: HasId | str | None = None, after: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """What happens to all jobs, without an end. A broken connection is replaced; no event is lost or repeated.

        after: the id of an event; those after it are given.
        """
        return self._shell.each(events.of_all, topic, None if job is None else id_of(job), after)

    def promise(self, job: HasId | str, name: str) -> AsyncPromise:
        """The promise of that name, of that job."""
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
        """The schedule of that name, which need not exist yet."""
        return AsyncSchedule(self._shell, topic, name)

    async def dead_letters(self, topic: str, *, limit: int | None = None) -> list[DeadLetterInfo]:
        """The messages that the workers of a topic gave up. limit: how many at most; None: as many as the gateway gives."""
        return await self._shell.run(topics.dead_letters, topic, limit)

    def dead_letter(self, topic: str, id: str) -> AsyncDeadLetter:
        """The dead letter of that id."""
        return AsyncDeadLetter(self._shell, topic, id)
