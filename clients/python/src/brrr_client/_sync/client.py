"""The client that blocks."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import httpx

from brrr_client._core import events, jobs, topics
from brrr_client._core.jobs import HasId, id_of
from brrr_client._core.settings import RETRIES, TIMEOUT, Settings
from brrr_client._sync.handles import DeadLetter, Job, Promise, Schedule
from brrr_client._sync.shell import Shell
from brrr_client.documents import DeadLetterInfo, Event, JobInfo, JobState, ScheduleInfo, TopicDetails, TopicInfo
from brrr_client.options import Input, StartOptions

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack


class Client:
    """A gateway of brrr-host. May be used by several threads."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        http: httpx.Client | None = None,
    ) -> None:
        """url, token: of the gateway; not given, BRRR_URL and BRRR_HTTP_TOKEN of the environment.

        timeout: how many seconds an answer may take, besides the time that a job is waited for.
        retries: how often a request is repeated when the network or the gateway fails.
        http: connections of your own (proxies, certificates). You close them yourself.
        """
        self._shell = Shell(Settings.of(url, token, timeout, retries), http)

    def close(self) -> None:
        """Closes the connections."""
        self._shell.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._shell.settings.url!r}>"

    def start(self, topic: str | None, task: str, /, **arguments: Any) -> Job:
        """Starts a job. All named arguments are the task's; options are given to `start_with`.

        topic: None, if only one topic of the gateway has the task.

        Raises InvalidInputError if the task's schema does not allow the arguments, NotFoundError if nobody knows the task.
        """
        return Job(self._shell, self._shell.run(jobs.start, topic, task, arguments, {}).id)

    def start_with(
        self, topic: str | None, task: str, input: Input = None, /, **options: Unpack[StartOptions]
    ) -> Job:
        """Starts a job with options: `key`, `delay`, `at`, `timeout`, … (StartOptions has them all).

        input: the task's arguments by name; bytes: the raw payload. All named arguments are options.

        Raises what `start` does, and ConflictError if the key was used for another call.
        """
        return Job(self._shell, self._shell.run(jobs.start, topic, task, input, options).id)

    def job(self, job: HasId | str) -> Job:
        """The job of that id. Nobody is asked whether it exists."""
        return Job(self._shell, id_of(job))

    def jobs(
        self,
        *,
        state: JobState | None = None,
        topic: str | None = None,
        task: str | None = None,
        page_size: int = 100,
    ) -> Generator[JobInfo, None, None]:
        """All jobs that fit, the newest first, without their results. page_size: how many are fetched at once, 1 to 500."""
        return self._shell.each(jobs.listed, state, topic, task, page_size)

    def events(
        self, *, topic: str | None = None, job: HasId | str | None = None, after: str | None = None
    ) -> Generator[Event, None, None]:
        """What happens to all jobs, without an end. A broken connection is replaced; no event is lost or repeated.

        after: the id of an event; those after it are given.
        """
        return self._shell.each(events.of_all, topic, None if job is None else id_of(job), after)

    def promise(self, job: HasId | str, name: str) -> Promise:
        """The promise of that name, of that job."""
        return Promise(self._shell, id_of(job), name)

    def topics(self) -> list[TopicInfo]:
        """The topics of the gateway."""
        return self._shell.run(topics.topics)

    def topic(self, name: str) -> TopicDetails:
        """A topic, with the descriptions and schemas of its tasks."""
        return self._shell.run(topics.topic, name)

    def schedules(self, topic: str) -> list[ScheduleInfo]:
        """The schedules of a topic."""
        return self._shell.run(topics.schedules, topic)

    def schedule(self, topic: str, name: str) -> Schedule:
        """The schedule of that name, which need not exist yet."""
        return Schedule(self._shell, topic, name)

    def dead_letters(self, topic: str, *, limit: int | None = None) -> list[DeadLetterInfo]:
        """The messages that the workers of a topic gave up. limit: how many at most; None: as many as the gateway gives."""
        return self._shell.run(topics.dead_letters, topic, limit)

    def dead_letter(self, topic: str, id: str) -> DeadLetter:
        """The dead letter of that id."""
        return DeadLetter(self._shell, topic, id)
