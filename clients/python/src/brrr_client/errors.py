"""The errors of the client. All of them are a `BrrrError`. A wrong argument is a ValueError or TypeError."""

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
    "ShipError",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "WaitTimeoutError",
]


class BrrrError(Exception):
    """Any error of this package."""


class ConnectionFailedError(BrrrError, ConnectionError):
    """No attempt of a request got an answer. `__cause__` is the error of the last attempt."""


class UnexpectedAnswerError(BrrrError):
    """An answer is not in the form of the API. Probably the URL is not the URL of a gateway."""


class ShipError(BrrrError):
    """A function can't be shipped to a worker. The message says why, and what to do."""


class WaitTimeoutError(BrrrError, TimeoutError):
    """The job is not over after the time that the caller gave. The job continues."""

    def __init__(self, job_id: str, seconds: float) -> None:
        super().__init__(job_id, seconds)
        self.job_id = job_id
        self.seconds = seconds

    def __str__(self) -> str:
        return f"job {self.job_id} is not over after {self.seconds:g} s"


class ResultForgottenError(BrrrError):
    """The job is completed, but its value was removed from the store afterwards."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id

    def __str__(self) -> str:
        return f"the value of job {self.job_id} was removed from the store"


class JobFailedError(BrrrError):
    """The job failed. The subclasses are for jobs that were cancelled or timed out."""

    def __init__(self, job_id: str, failure: Failure) -> None:
        super().__init__(job_id, failure)
        self.job_id = job_id
        self.failure = failure

    @property
    def kind(self) -> str:
        """The kind of the failure: error, permanent, trap, timeout, limit, cancelled, unknown-task, rejected, … or a kind that the
        handler chose."""
        return self.failure.kind

    @property
    def task(self) -> str:
        """The task of the failed call."""
        return self.failure.task

    @property
    def message(self) -> str:
        """The message of the first cause."""
        return self.failure.message

    @property
    def attempts(self) -> int:
        """The number of runs of the handler for this call."""
        return self.failure.attempts

    @property
    def chain(self) -> tuple[str, ...]:
        """One line for each call, from the job's call down to the first cause."""
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
    """The job was not over at its deadline."""


class ApiError(BrrrError):
    """The gateway refused a request."""

    def __init__(self, status: int, name: str, detail: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(status, name, detail, problem)
        self.status = status
        """The HTTP status."""
        self.name = name
        """The name of the problem, for example `no-such-job` or `key-reused`. Empty if a proxy answered."""
        self.detail = detail
        """A description for people."""
        self.problem = problem or {}
        """The problem document (RFC 9457)."""

    def __str__(self) -> str:
        return f"{self.detail} ({self.status}{self.name and ' ' + self.name})"


class UnauthorizedError(ApiError):
    """401: the token is missing or wrong. 403 `push-not-allowed`: it is not the push token. 403 `takes-no-code`: the
    gateway has no push token."""


class NotFoundError(ApiError):
    """404: the job, task, topic, schedule or dead letter does not exist."""


class ConflictError(ApiError):
    """409: the state of the job, the promise or the key does not allow the request. `name` says why."""


class UnavailableError(ApiError):
    """408, 502, 503, 504: the gateway or its backend is busy or not available. All attempts failed."""


@dataclass(frozen=True)
class InputError:
    """A place in the input that breaks the task's schema."""

    pointer: str
    """A JSON pointer, for example `/n`."""
    message: str


class InvalidInputError(ApiError):
    """422: the input breaks the task's schema."""

    @property
    def errors(self) -> tuple[InputError, ...]:
        """The places in the input that break the schema."""
        return tuple(InputError(str(each["pointer"]), str(each["message"])) for each in self.problem.get("errors", []))
