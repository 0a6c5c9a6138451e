"""The common part of the handles of both clients. A handle has the name of a thing, and nothing of its state."""

from __future__ import annotations


class JobHandle:
    """The handle of a job."""

    def __init__(self, id: str) -> None:
        self._id = id

    @property
    def id(self) -> str:
        """The job's id."""
        return self._id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._id}>"


class PromiseHandle:
    """The handle of a promise of a job."""

    def __init__(self, job_id: str, name: str) -> None:
        self.job_id = job_id
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {self.job_id}>"


class TopicPart:
    """The handle of a schedule or dead letter of a topic."""

    def __init__(self, topic: str, id: str) -> None:
        self._topic = topic
        self._id = id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._id!r} of {self._topic!r}>"
