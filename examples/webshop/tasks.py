"""What happens to an order: the tasks of the topic `shop`. Stock, bank and mail server are pretended: their leaves only print."""

import asyncio
from dataclasses import dataclass

import brrr

APPROVAL_ABOVE = 500_00
"""Cents. A person decides about orders of a larger amount."""

APPROVAL_LIMIT = 2 * 86_400
"""Seconds. An order that nobody has decided about by then is undone."""


@dataclass
class Approval:
    by: str


@dataclass
class Decision:
    state: str
    """`sold`, `rejected` or `expired`."""
    note: str


@dataclass
class Receipt:
    number: str
    state: str
    cents: int
    payment: str
    note: str


@brrr.handler(scope="job")  # an order shares its result, and its approval, with no other one
async def order(app: brrr.App, number: str, item: str, quantity: int, cents: int, email: str) -> Receipt:
    """Reserves the goods, charges the customer, asks a person about a large amount, and sends a mail."""
    # Stock and bank know the order by its job. A job that retries this one is another order to them, for this one is undone.
    id = app.request.job_id
    await app.call(reserve)(id, item, quantity)
    try:
        payment = await app.call(charge)(id, cents)
    except brrr.CallFailedError:
        await app.call(undo)(id)
        raise
    decision = await decide(app) if cents > APPROVAL_ABOVE else Decision("sold", "needs no approval")
    if decision.state != "sold":
        await app.call(undo)(id)
    # A job of its own: the order is over without waiting for the mail server.
    await app.spawn(mail)(email, f"Order {number}: {quantity} x {item}, {decision.state}")
    return Receipt(number, decision.state, cents, payment, decision.note)


async def decide(app: brrr.App) -> Decision:
    try:
        approval = await asyncio.wait_for(app.promise("approval", Approval), APPROVAL_LIMIT)
    except TimeoutError:
        return Decision("expired", "nobody has decided")
    except brrr.CallFailedError as error:
        if error.kind != "rejected":
            raise
        return Decision("rejected", error.message)
    return Decision("sold", f"approved by {approval.by}")


# Each leaf may be run twice, if its worker dies before the result is kept. So a real one sends the order's id along, and the
# bank charges once for each id.


@brrr.handler_no_arg(leaf=True)
async def reserve(order_id: str, item: str, quantity: int) -> None:
    print(f"order {order_id}: {quantity} x {item} reserved")


@brrr.handler(leaf=True, timeout=10, max_retries=5, retry_delay=1)
async def charge(app: brrr.App, order_id: str, cents: int) -> str:
    """Charges the customer. This bank is always busy at the first attempt."""
    if app.request.attempt == 1:
        raise brrr.RetryableError("the bank is busy")
    print(f"order {order_id}: {cents} cents charged")
    return f"payment-{order_id}"


@brrr.handler_no_arg(leaf=True, max_retries=5)
async def undo(order_id: str) -> None:
    """Gives back the goods and the money of an order, as far as it has any."""
    print(f"order {order_id}: undone")


@brrr.handler_no_arg(leaf=True, max_retries=5)
async def mail(to: str, text: str) -> None:
    print(f"mail to {to}: {text}")
