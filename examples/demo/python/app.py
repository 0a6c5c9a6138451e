"""The Python half of the demo: topic brrr-py-demo."""

import brrr


@brrr.handler_no_arg
async def hello(greetee: str) -> str:
    greeting = f"Hello, {greetee}!"
    print(greeting)
    return greeting


@brrr.handler
async def calc_and_print(app: brrr.App, op: str, n: str, salt: str | None = None) -> int:
    """Has `op` (fib or lucas) computed by the TypeScript workers. Arguments from a URL arrive as strings."""
    result: int = await app.call(op, topic="brrr-ts-demo")(n=int(n), salt=salt)
    print(f"{op}({n}) = {result}", flush=True)
    return result
