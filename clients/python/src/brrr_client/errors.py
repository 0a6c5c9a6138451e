"""What can go wrong. All errors of the API and of jobs are a `BrrrError`; what a caller gives wrongly is a ValueError."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brrr_client.documents import Failure

__all__ = [
    "ApiError",
    "BrrrError",
    "ConflictError",
    "ConnectionFailedError",
    "InputError",
    "InvalidInputError",
    "JobCancelledError",
    "JobFailedError",
    "JobTimedOutError",
    "NotFoundError",
    "ResultForgottenError",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "WaitTimeoutError",
]


class BrrrError(Exception):
    """Any error of this package."""


class ConnectionFailedError(BrrrError, ConnectionError):
    """There is no answer, after all attempts. `__cause__` is the error of the last one."""


class UnexpectedAnswerError(BrrrError):
    """An answer is not what the API says: probably something else than a gateway answered."""


class WaitTimeoutError(BrrrError, TimeoutError):
    """The job is not over after the time that `result` was given. The job goes on."""

    def __init__(self, job_id: str, seconds: float) -> None:
        super().__init__(job_id, seconds)
        self.job_id = job_id
        self.seconds = seconds

    def __str__(self) -> str:
        return f"job {self.job_id} is not over after {self.seconds:g} s"


class ResultForgottenError(BrrrError):
    """The job is completed, and its value was removed from the store afterwards."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id

    def __str__(self) -> str:
        return f"the value of job {self.job_id} was removed from the store"


class JobFailedError(BrrrError):
    """The job ended without a value. Its subclasses say that it was cancelled, or that its time was over."""

    def __init__(self, job_id: str, failure: Failure) -> None:
        super().__init__(job_id, failure)
        self.job_id = job_id
        self.failure = failure

    @property
    def kind(self) -> str:
        """error, permanent, trap, timeout, limit, cancelled, unknown-task, rejected, … or a kind of the handler's own."""
        return self.failure.kind

    @property
    def task(self) -> str:
        """The task that failed."""
        return self.failure.task

    @property
    def message(self) -> str:
        """The message of the first cause."""
        return self.failure.message

    @property
    def attempts(self) -> int:
        """How often the handler was run."""
        return self.failure.attempts

    @property
    def chain(self) -> tuple[str, ...]:
        """One line a call, from the job's down to the first cause."""
        return self.failure.chain

    @property
    def details(self) -> Any:
        """What the handler attached to its error, or None."""
        return self.failure.details

    def __str__(self) -> str:
        return f"{self.task}: {self.kind}: {self.message} (job {self.job_id})"


class JobCancelledError(JobFailedError):
    """The job was cancelled."""


class JobTimedOutError(JobFailedError):
    """The job was not done when its time was over."""


class ApiError(BrrrError):
    """The gateway refused a request."""

    def __init__(self, status: int, name: str, detail: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(status, name, detail, problem)
        self.status = status
        """The HTTP status."""
        self.name = name
        """What is wrong, as a word: `no-such-job`, `key-reused`, … Empty if a proxy answered."""
        self.detail = detail
        """What is wrong, for people."""
        self.problem = problem or {}
        """The whole problem document (RFC 9457)."""

    def __str__(self) -> str:
        return f"{self.detail} ({self.status}{self.name and ' ' + self.name})"


class UnauthorizedError(ApiError):
    """401: the gateway wants a token, or another one."""


class NotFoundError(ApiError):
    """404: there is no such job, task, topic, schedule or dead letter."""


class ConflictError(ApiError):
    """409: the job, the promise or the key is in a state that does not allow it. `name` says which."""


class UnavailableError(ApiError):
    """408, 502, 503, 504: the gateway, or what it needs, is busy or away, after all attempts."""


@dataclass(frozen=True)
class InputError:
    """A place of the input that breaks the task's schema."""

    pointer: str
    """A JSON pointer: `/n`."""
    message: str


class InvalidInputError(ApiError):
    """422: the input breaks the task's schema."""

    @property
    def errors(self) -> tuple[InputError, ...]:
        """The places."""
        return tuple(InputError(str(each["pointer"]), str(each["message"])) for each in self.problem.get("errors", []))
