"""What the handles of both clients have in common: which thing they stand for. They know nothing of its state."""

from __future__ import annotations


class JobHandle:
    """Stands for a job."""

    def __init__(self, id: str) -> None:
        self._id = id

    @property
    def id(self) -> str:
        """The job's id."""
        return self._id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._id}>"


class PromiseHandle:
    """Stands for a promise of a job."""

    def __init__(self, job_id: str, name: str) -> None:
        self.job_id = job_id
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {self.job_id}>"


class TopicPart:
    """Stands for something that a topic has."""

    def __init__(self, topic: str, id: str) -> None:
        self._topic = topic
        self._id = id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._id!r} of {self._topic!r}>"
