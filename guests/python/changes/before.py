"""What `push --verify` compares: `after.py` has each of these tasks with a change. A task that is named `planted_…` asks for
other calls there, or gives another value. One that is named `harmless_…` is written in another way, and does the same."""

import brrr


@brrr.handler_no_arg
async def double(n: int) -> int:
    return n * 2


@brrr.handler_no_arg
async def triple(n: int) -> int:
    return n * 3


@brrr.handler_no_arg
async def inc(n: int) -> int:
    return n + 1


@brrr.handler
async def planted_child(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n)


@brrr.handler
async def planted_argument(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n)


@brrr.handler
async def planted_result(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n) + 1


@brrr.handler
async def planted_more_children(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n)


@brrr.handler
async def planted_fewer_children(app: brrr.App, n: int) -> int:
    doubled = await app.call(double)(n=n)
    await app.call(inc)(n=n)
    return doubled


@brrr.handler
async def planted_order(app: brrr.App, n: int) -> int:
    return await app.call(inc)(n=await app.call(double)(n=n))


@brrr.handler
async def planted_scope(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n)


@brrr.handler
async def planted_failure(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n)


@brrr.handler
async def planted_type(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n)


@brrr.handler
async def planted_branch(app: brrr.App, n: int) -> int:
    if n > 3:
        return await app.call(triple)(n=n)
    return await app.call(double)(n=n)


@brrr.handler
async def harmless_refactoring(app: brrr.App, n: int) -> int:
    doubled = await app.call(double)(n=n)
    return doubled + await app.call(inc)(n=doubled)


@brrr.handler
async def harmless_names(app: brrr.App, n: int) -> int:
    a = await app.call(double)(n=n)
    b = await app.call(inc)(n=a)
    return b - a


@brrr.handler
async def harmless_speed(app: brrr.App, n: int) -> int:
    doubled = await app.call(double)(n=n)
    total = 0
    for i in range(1_000):
        total += i
    return total + doubled


@brrr.handler
async def harmless_batch(app: brrr.App, n: int) -> int:
    doubled = await app.call(double)(n=n)
    more = await app.call(inc)(n=n)
    return doubled + more


@brrr.handler
async def harmless_loop(app: brrr.App, n: int) -> list[int]:
    values = []
    for i in range(n):
        values.append(await app.call(double)(n=i))
    return values


@brrr.handler
async def harmless_log(app: brrr.App, n: int) -> int:
    print("before")
    return await app.call(double)(n=n)


@brrr.handler
async def harmless_guard(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n)


@brrr.handler
async def harmless_options(app: brrr.App, n: int) -> int:
    return await app.call(double)(n=n)


@brrr.handler
async def harmless_order_of_a_batch(app: brrr.App, n: int) -> int:
    doubled, more = await app.gather(app.call(double)(n=n), app.call(inc)(n=n))
    return doubled - more


@brrr.handler
async def harmless_type(app: brrr.App, n: int) -> dict[str, int]:
    return {"value": await app.call(double)(n=n)}
