"""Start, follow and schedule jobs of brrr-host.

    from brrr_client import Client

    with Client("http://localhost:8080") as client:
        print(client.start("demo", "fib", n=30).result(timeout=60))

`AsyncClient` is the same for asyncio.
"""

from brrr_client._async.client import AsyncClient
from brrr_client._async.handles import AsyncDeadLetter, AsyncJob, AsyncPromise, AsyncSchedule
from brrr_client._sync.client import Client
from brrr_client._sync.handles import DeadLetter, Job, Promise, Schedule
from brrr_client._version import VERSION as __version__
from brrr_client.documents import (
    CallInfo,
    ComponentInfo,
    DeadLetterInfo,
    Event,
    Failure,
    JobInfo,
    JobState,
    LogLevel,
    LogLine,
    PromiseInfo,
    PushedRevision,
    RevisionInfo,
    ScheduleInfo,
    TaskInfo,
    TaskState,
    TopicDetails,
    TopicInfo,
    Tree,
)
from brrr_client.errors import (
    ApiError,
    BrrrError,
    ConflictError,
    ConnectionFailedError,
    InputError,
    InvalidInputError,
    JobCancelledError,
    JobFailedError,
    JobTimedOutError,
    NotFoundError,
    ResultForgottenError,
    ShipError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    WaitTimeoutError,
)
from brrr_client.options import Duration, JobOptions, StartOptions

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncDeadLetter",
    "AsyncJob",
    "AsyncPromise",
    "AsyncSchedule",
    "BrrrError",
    "CallInfo",
    "Client",
    "ComponentInfo",
    "ConflictError",
    "ConnectionFailedError",
    "DeadLetter",
    "DeadLetterInfo",
    "Duration",
    "Event",
    "Failure",
    "InputError",
    "InvalidInputError",
    "Job",
    "JobCancelledError",
    "JobFailedError",
    "JobInfo",
    "JobOptions",
    "JobState",
    "LogLevel",
    "LogLine",
    "JobTimedOutError",
    "NotFoundError",
    "Promise",
    "PromiseInfo",
    "PushedRevision",
    "ResultForgottenError",
    "RevisionInfo",
    "Schedule",
    "ScheduleInfo",
    "ShipError",
    "StartOptions",
    "TaskInfo",
    "TaskState",
    "TopicDetails",
    "TopicInfo",
    "Tree",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "WaitTimeoutError",
    "__version__",
]
