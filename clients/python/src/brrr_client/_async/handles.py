"""Jobs, promises, schedules and dead letters of the client for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from brrr_client._core import events, jobs, topics
from brrr_client._core.handles import JobHandle, PromiseHandle, TopicPart
from brrr_client._core.text import Duration
from brrr_client._async.shell import Shell
from brrr_client.documents import Event, JobInfo, PromiseInfo, ScheduleInfo, Tree
from brrr_client.options import Input, JobOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AsyncJob(JobHandle):
    """A job. It is not asked about until a method needs it."""

    def __init__(self, shell: Shell, id: str) -> None:
        super().__init__(id)
        self._shell = shell

    async def result(self, timeout: timedelta | float | None = None) -> Any:
        """Waits until the job is over, and gives its value: any JSON; bytes, if the value is no JSON.

        timeout: how long to wait at most, in seconds. None: as long as it takes. 0: do not wait.

        Raises JobFailedError, JobCancelledError or JobTimedOutError if there is no value, WaitTimeoutError if the job is not
        over, ResultForgottenError if the value was removed from the store.
        """
        return await self._shell.run(jobs.result, self.id, timeout)

    async def wait(self, timeout: timedelta | float | None = None) -> JobInfo:
        """Waits until the job is over, however it ends. Raises WaitTimeoutError if it is not."""
        return await self._shell.run(jobs.wait, self.id, timeout)

    async def status(self) -> JobInfo:
        """The job as it is now."""
        return await self._shell.run(jobs.status, self.id)

    async def cancel(self) -> JobInfo:
        """Cancels the job. Raises ConflictError if it is over."""
        return await self._shell.run(jobs.cancel, self.id)

    async def retry(self) -> AsyncJob:
        """Does a job that is over again, as a new job. Calls that succeeded are not run again.

        Raises ConflictError if the job is alive. Is not repeated when the network fails after the request was sent: that
        might start two jobs.
        """
        return AsyncJob(self._shell, (await self._shell.run(jobs.retry, self.id)).id)

    async def tree(self, depth: int | None = None) -> Tree:
        """The job's calls, and what they call, to that depth."""
        return await self._shell.run(jobs.tree, self.id, depth)

    async def promises(self) -> list[PromiseInfo]:
        """The promises that the job waits for now."""
        return await self._shell.run(jobs.promises, self.id)

    def promise(self, name: str) -> AsyncPromise:
        """The promise of that name."""
        return AsyncPromise(self._shell, self.id, name)

    def events(self, after: str | None = None) -> AsyncGenerator[Event, None]:
        """What happens to the job, up to its end. A broken connection is replaced; no event is lost or repeated.

        after: the id of an event; those after it are given.
        """
        return self._shell.each(events.of_job, self.id, after)


class AsyncPromise(PromiseHandle):
    """A promise of a job: a question that somebody outside answers."""

    def __init__(self, shell: Shell, job_id: str, name: str) -> None:
        super().__init__(job_id, name)
        self._shell = shell

    async def resolve(self, value: object = None) -> None:
        """Answers it with a value that JSON has. Raises ConflictError if it has another answer, or the job is over."""
        await self._shell.run(jobs.resolve, self.job_id, self.name, value)

    async def reject(self, reason: str) -> None:
        """Refuses it. Raises ConflictError if it has another answer, or the job is over."""
        await self._shell.run(jobs.reject, self.job_id, self.name, reason)


class AsyncSchedule(TopicPart):
    """A schedule of a topic."""

    def __init__(self, shell: Shell, topic: str, name: str) -> None:
        super().__init__(topic, name)
        self._shell = shell

    async def put(
        self,
        *,
        cron: str,
        task: str,
        input: Input = None,
        tz: str | None = None,
        overlap: Literal["allow", "skip", "cancel-previous"] | None = None,
        catch_up: Duration | None = None,
        paused: bool | None = None,
        **options: Unpack[JobOptions],
    ) -> ScheduleInfo:
        """Makes the schedule, or replaces it.

        cron: `0 3 * * *`, in the time zone tz (`Europe/Berlin`). overlap: what to do while the job before is alive.
        catch_up: how late a job may be started for which no worker was there. The options are those of each job.
        """
        members = {"cron": cron, "task": task, "tz": tz, "overlap": overlap, "paused": paused}
        return await self._shell.run(topics.put_schedule, self._topic, self._id, input, catch_up, members, options)

    async def status(self) -> ScheduleInfo:
        """The schedule as it is now."""
        return await self._shell.run(topics.schedule, self._topic, self._id)

    async def pause(self) -> ScheduleInfo:
        """Starts no more jobs."""
        return await self._shell.run(topics.turn_schedule, self._topic, self._id, "pause")

    async def resume(self) -> ScheduleInfo:
        """Starts jobs again."""
        return await self._shell.run(topics.turn_schedule, self._topic, self._id, "resume")

    async def run(self) -> AsyncJob:
        """Starts a job now. Is not repeated when the network fails after the request was sent: that might start two."""
        return AsyncJob(self._shell, (await self._shell.run(topics.run_schedule, self._topic, self._id)).id)

    async def delete(self) -> None:
        """Removes the schedule. Its jobs go on."""
        await self._shell.run(topics.delete_schedule, self._topic, self._id)


class AsyncDeadLetter(TopicPart):
    """A message that the workers of a topic gave up."""

    def __init__(self, shell: Shell, topic: str, id: str) -> None:
        super().__init__(topic, id)
        self._shell = shell

    async def send(self) -> None:
        """Puts it back into its queue."""
        await self._shell.run(topics.send_dead_letter, self._topic, self._id)

    async def delete(self) -> None:
        """Removes it."""
        await self._shell.run(topics.delete_dead_letter, self._topic, self._id)
