"""What type checkers see. `mypy --strict` checks this file; it is not run."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

import brrr
from brrr.testing import FakeHost


@dataclass
class Order:
    id: int


@brrr.handler_no_arg
async def number(i: int) -> int:
    return i


@brrr.handler(timeout=timedelta(seconds=3), scope="1h")
async def text(app: brrr.App, s: str, *, times: int = 1) -> str:
    return s * times


@brrr.handler
async def order(app: brrr.App, given: Order) -> Order:
    return given


@brrr.handler_raw
async def raw(app: brrr.App, payload: bytes) -> bytes:
    return payload


@brrr.handler
async def kept(app: brrr.App) -> None:
    assert_type(await app.call(number)(1), int)
    assert_type(await app.call(text, scope="job", timeout=1)("a", times=2), str)
    assert_type(await app.call("anything")(x=1), Any)
    assert_type(await app.gather(app.call(number)(1), app.call(text)("a")), tuple[int, str])
    three = await app.gather(app.call(number)(1), app.call(text)(s="a"), app.call(order)(Order(1)))
    assert_type(three, tuple[int, str, Order])
    assert_type(await app.gather(*[app.call(number)(i) for i in range(3)]), list[int])
    both = await app.gather(app.call(number)(1), app.call(text)("a"), return_exceptions=True)
    assert_type(both, tuple[int | BaseException, str | BaseException])
    assert_type(await asyncio.gather(app.call(number)(1), app.call(text)("a")), tuple[int, str])
    assert_type(await asyncio.wait_for(app.call(number)(1), 1), int)
    assert_type(await app.first(app.call(number)(1), app.call(number)(2)), int)
    results = await app.some(1, app.call(number)(1), app.call(number)(2))
    assert_type(results, list[int | brrr.CallFailedError | None])
    assert_type(await app.promise("approval"), Any)
    assert_type(await app.promise("approval", Order), Order)
    assert_type(await app.call_raw(raw, b""), bytes)
    assert_type(await app.spawn(number, label="x")(1), str)
    assert_type(await app.spawn("anything", topic="t")(x=1), str)
    assert_type(await app.spawn_raw(raw, b""), str)
    assert_type(await app.gather(app.spawn(number)(1), app.call(number)(2)), tuple[str, int])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(app.call(number)(1))
    assert_type(task.result(), int)


async def refused(app: brrr.App) -> None:
    # Without these comments each is an error, and a comment that is not needed is one, too.
    await app.call(number)("a")  # type: ignore[arg-type]
    await app.call(number)(n=1)  # type: ignore[call-arg]
    await app.call(text)("a", 2)  # type: ignore[call-arg]
    await app.call(number, timout=1)(1)  # type: ignore[call-overload]
    await app.spawn(number)("a")  # type: ignore[arg-type]


assert_type(FakeHost().run(order, Order(1)), Order)
