"""Orders as jobs: all that this application asks of brrr-host."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from brrr_client import AsyncClient, ConflictError, Event, JobInfo, NotFoundError

TOPIC = "shop"
TASK = "order"
APPROVAL = "approval"

PRICES = {"lamp": 45_00, "chair": 120_00, "desk": 620_00}
"""Cents."""

UNDO_AFTER = timedelta(seconds=3)
"""Workers stop the running tasks of a cancelled job within about a second. What such a task does until then is undone too."""


@dataclass(frozen=True)
class Progress:
    """One change of an order."""

    id: str
    """The position of the event. `Orders.progress` continues after it."""
    text: str
    waits_for_approval: bool
    is_over: bool


class Orders:
    """The orders. An order is known by the id of its job."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def place(self, number: str, item: str, quantity: int, email: str) -> str:
        """Starts an order, and returns its id. The same order again has the same id, however often it is placed.

        Raises ConflictError if there is another order with this number.
        """
        cents = PRICES[item] * quantity
        arguments = {"number": number, "item": item, "quantity": quantity, "cents": cents, "email": email}
        job = await self._client.start_with(TOPIC, TASK, arguments, key=f"order-{number}")
        return job.id

    async def find(self, id: str) -> JobInfo:
        """An order as it is now. Raises NotFoundError if there is none with this id."""
        info = await self._client.job(id).status()
        # The gateway shows every job of its backend, and not all of them are orders.
        if (info.topic, info.task) != (TOPIC, TASK):
            raise NotFoundError(404, "no-such-job", f"job {id} is no order")
        return info

    async def recent(self, count: int = 20) -> list[JobInfo]:
        """The newest orders, newest first."""
        found: list[JobInfo] = []
        async with aclosing(self._client.jobs(topic=TOPIC, task=TASK, page_size=count)) as jobs:
            async for info in jobs:
                found.append(info)
                if len(found) == count:
                    break
        return found

    async def waits_for_approval(self, id: str) -> bool:
        return any(promise.name == APPROVAL for promise in await self._client.job(id).promises())

    async def approve(self, id: str, by: str) -> None:
        """Raises ConflictError if the order is over, or if somebody else has decided."""
        await self._client.promise(await self.find(id), APPROVAL).resolve({"by": by})

    async def reject(self, id: str, reason: str) -> None:
        """Raises ConflictError if the order is over, or if somebody else has decided."""
        await self._client.promise(await self.find(id), APPROVAL).reject(reason)

    async def cancel(self, id: str) -> None:
        """Cancels an order, and has its goods and its money given back. It may be repeated.

        Raises ConflictError if the order is over and was not cancelled.
        """
        await self._client.job(await self.find(id)).cancel()
        # No handler of a cancelled job is run again, so another job gives back what it has. If this process dies before the next
        # line, the customer cancels once more: both steps have the same effect twice as once.
        await self._client.start_with(TOPIC, "undo", {"order_id": id}, key=f"undo-{id}", delay=UNDO_AFTER)

    async def progress(self, id: str, after: str | None) -> AsyncGenerator[Progress, None]:
        """The changes of an order, up to its end. after: the id of the last change that the reader has."""
        async with aclosing(self._client.job(id).events(after)) as events:
            async for event in events:
                # Only the order itself waits for promises.
                waits = event.task == TASK and event.to_state == "deferred" and await self.waits_for_approval(id)
                yield Progress(event.id, describe(event), waits, event.is_end)


def describe(event: Event) -> str:
    """One line for people."""
    subject = "the job" if event.subject == "job" else event.task or "a task"
    text = f"{subject}: {event.from_state} → {event.to_state}"
    if event.retry_in is not None:
        text += f", attempt {event.attempt} in {event.retry_in.total_seconds():.1f} s"
    if event.failure is not None:
        text += f" ({first_line(event.failure.message)})"
    return text


def first_line(message: str) -> str:
    """Without the frames of the handler's code, which follow in a failure's message."""
    return message.split("\n", 1)[0]
