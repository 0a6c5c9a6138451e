"""Jobs, promises, schedules and dead letters of the blocking client."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from brrr_client._core import events, jobs, topics
from brrr_client._core.handles import JobHandle, PromiseHandle, TopicPart
from brrr_client._core.text import Duration
from brrr_client._sync.shell import Shell
from brrr_client.documents import Event, JobInfo, LogLevel, LogLine, PromiseInfo, ScheduleInfo, Tree
from brrr_client.options import Input, JobOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Job(JobHandle):
    """A handle for a job. It contains only the id of the job."""

    def __init__(self, shell: Shell, id: str) -> None:
        super().__init__(id)
        self._shell = shell

    def result(self, timeout: timedelta | float | None = None) -> Any:
        """Waits until the job is over, and returns its value: the value of its JSON, or bytes if it is not JSON.

        timeout: the longest time to wait, in seconds. None: no limit. 0: the method does not wait.

        Raises JobFailedError, JobCancelledError or JobTimedOutError if the job has no value, WaitTimeoutError if the job is not
        over in time, ResultForgottenError if the value was removed from the store.
        """
        return self._shell.run(jobs.result, self.id, timeout)

    def wait(self, timeout: timedelta | float | None = None) -> JobInfo:
        """Waits until the job is over, and returns its state. Raises WaitTimeoutError if the job is not over in time."""
        return self._shell.run(jobs.wait, self.id, timeout)

    def status(self) -> JobInfo:
        """The job as it is now."""
        return self._shell.run(jobs.status, self.id)

    def cancel(self) -> JobInfo:
        """Cancels the job. Raises ConflictError if the job is over and was not cancelled."""
        return self._shell.run(jobs.cancel, self.id)

    def retry(self) -> Job:
        """Retries a job that is over, as a new job. Calls that succeeded are not run again.

        Raises ConflictError if the job is alive. The client does not repeat this request if the gateway may have received it,
        because a second request would start a second job.
        """
        return Job(self._shell, self._shell.run(jobs.retry, self.id).id)

    def tree(self, depth: int | None = None) -> Tree:
        """The tree of the job's calls. depth: the most levels of the tree. None: the gateway decides."""
        return self._shell.run(jobs.tree, self.id, depth)

    def logs(self, level: LogLevel | None = None) -> Generator[LogLine, None, None]:
        """The lines that the calls of the job have logged and printed, in the order of time.

        The lines of a run are there when the run has ended. level: only lines of this level or a more severe one.
        """
        return self._shell.each(jobs.logs, self.id, level)

    def promises(self) -> list[PromiseInfo]:
        """The promises that the job waits for now."""
        return self._shell.run(jobs.promises, self.id)

    def promise(self, name: str) -> Promise:
        """A handle for the promise with this name."""
        return Promise(self._shell, self.id, name)

    def events(self, after: str | None = None) -> Generator[Event, None, None]:
        """The events of the job, up to its end. After a broken connection the client continues behind the last event.

        after: the id of an event. The first event is the one after it.
        """
        return self._shell.each(events.of_job, self.id, after)


class Promise(PromiseHandle):
    """A handle for a promise of a job."""

    def __init__(self, shell: Shell, job_id: str, name: str) -> None:
        super().__init__(job_id, name)
        self._shell = shell

    def resolve(self, value: object = None) -> None:
        """Resolves the promise with a JSON value. Raises ConflictError if it has another answer, or if the job is over."""
        self._shell.run(jobs.resolve, self.job_id, self.name, value)

    def reject(self, reason: str) -> None:
        """Rejects the promise. Raises ConflictError if it has another answer, or if the job is over."""
        self._shell.run(jobs.reject, self.job_id, self.name, reason)


class Schedule(TopicPart):
    """A handle for a schedule of a topic."""

    def __init__(self, shell: Shell, topic: str, name: str) -> None:
        super().__init__(topic, name)
        self._shell = shell

    def put(
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
        """Creates the schedule, or replaces it.

        cron: the times, for example `0 3 * * *`, in the time zone `tz`, for example `Europe/Berlin`.
        overlap: what happens at a time when the job of the time before is alive.
        catch_up: how late a job may start if no worker was running at its time.
        options: the options of each job.
        """
        members = {"cron": cron, "task": task, "tz": tz, "overlap": overlap, "paused": paused}
        return self._shell.run(topics.put_schedule, self._topic, self._id, input, catch_up, members, options)

    def status(self) -> ScheduleInfo:
        """The schedule as it is now."""
        return self._shell.run(topics.schedule, self._topic, self._id)

    def pause(self) -> ScheduleInfo:
        """Pauses the schedule: it starts no jobs until it is resumed."""
        return self._shell.run(topics.turn_schedule, self._topic, self._id, "pause")

    def resume(self) -> ScheduleInfo:
        """Resumes the schedule."""
        return self._shell.run(topics.turn_schedule, self._topic, self._id, "resume")

    def run(self) -> Job:
        """Starts a job of the schedule now.

        The client does not repeat this request if the gateway may have received it, because a second request would start a
        second job.
        """
        return Job(self._shell, self._shell.run(topics.run_schedule, self._topic, self._id).id)

    def delete(self) -> None:
        """Deletes the schedule. Its jobs continue."""
        self._shell.run(topics.delete_schedule, self._topic, self._id)


class DeadLetter(TopicPart):
    """A handle for a dead letter: a message that no worker could process."""

    def __init__(self, shell: Shell, topic: str, id: str) -> None:
        super().__init__(topic, id)
        self._shell = shell

    def send(self) -> None:
        """Sends the message to its topic again."""
        self._shell.run(topics.send_dead_letter, self._topic, self._id)

    def delete(self) -> None:
        """Deletes the dead letter."""
        self._shell.run(topics.delete_dead_letter, self._topic, self._id)
