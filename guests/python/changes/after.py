"""The tasks of `before.py`, each with a change; see there."""

import asyncio
from dataclasses import dataclass

import brrr


@brrr.handler_no_arg
async def double(n: int) -> int:
    return n + n


@brrr.handler_no_arg
async def triple(n: int) -> int:
    return n + n + n


@brrr.handler_no_arg
async def inc(n: int) -> int:
    return 1 + n


@brrr.handler
async def planted_child(app: brrr.App, n: int) -> int:
    return await app.call(triple)(n=n)


@brrr.handler
async def planted_argument(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n + 1)


@brrr.handler
async def planted_result(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n) + 2


@brrr.handler
async def planted_more_children(app: brrr.App, n: int) -> int:
    doubled = await app.call(double)(n=n)
    await app.call(inc)(n=n)
    return doubled


@brrr.handler
async def planted_fewer_children(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n)


@brrr.handler
async def planted_order(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=await app.call(inc)(n=n))


@brrr.handler
async def planted_scope(app: brrr.App, n: int) -> int:
    return await app.call(double, scope="job")(n=n)


@brrr.handler
async def planted_failure(app: brrr.App, n: int) -> int:
    doubled = await app.call(double)(n=n)
    raise ValueError(f"{doubled} is too large")


@brrr.handler
async def planted_type(app: brrr.App, n: int) -> str:
    return str(await app.call(double)(n=n))


@brrr.handler
async def planted_branch(app: brrr.App, n: int) -> int:
    if n >= 3:
        return await app.call(triple)(n=n)
    return await app.call(double)(n=n)


async def doubled_and(app: brrr.App, n: int) -> tuple[int, int]:
    doubled = await app.call(double)(n=n)
    return doubled, await app.call(inc)(n=doubled)


@brrr.handler
async def harmless_refactoring(app: brrr.App, n: int) -> int:
    return sum(await doubled_and(app, n))


@brrr.handler
async def harmless_names(app: brrr.App, n: int) -> int:
    doubled = await app.call(double)(n=n)
    one_more = await app.call(inc)(n=doubled)
    return one_more - doubled


@brrr.handler
async def harmless_speed(app: brrr.App, n: int) -> int:
    return 1_000 * 999 // 2 + await app.call(double)(n=n)


@brrr.handler
async def harmless_batch(app: brrr.App, n: int) -> int:
    return sum(await app.gather(app.call(double)(n=n), app.call(inc)(n=n)))


@brrr.handler
async def harmless_loop(app: brrr.App, n: int) -> list[int]:
    return [await app.call(double)(n=i) for i in range(n)]


@brrr.handler
async def harmless_log(app: brrr.App, n: int) -> int:
    doubled = await app.call(double)(n=n)
    print("after", doubled)
    return doubled


@brrr.handler
async def harmless_guard(app: brrr.App, n: int) -> int:
    try:
        return await app.call(double)(n=n)
    except brrr.CallFailedError:
        return -1


@brrr.handler(max_retries=7, timeout=3600)
async def harmless_options(app: brrr.App, n: int) -> int:
    return await app.call(double, max_retries=2)(n=n)


@brrr.handler
async def harmless_order_of_a_batch(app: brrr.App, n: int) -> int:
    more, doubled = await asyncio.gather(app.call(inc)(n=n), app.call(double)(n=n))
    return doubled - more


@dataclass
class Answer:
    value: int


@brrr.handler
async def harmless_type(app: brrr.App, n: int) -> Answer:
    return Answer(await app.call(double)(n=n))


@brrr.handler
async def harmless_new_task(app: brrr.App, n: int) -> int:
    return await app.call(triple)(n=n)
