import brrr


@brrr.handler
async def fib(app: brrr.App, n: int, salt: str | None = None) -> int:
    if n in (0, 1):
        return n
    return sum(await app.gather(app.call(fib)(n - 2, salt), app.call(fib)(n - 1, salt)))


@brrr.handler_no_arg  # a handler that calls nobody needs no `app`
async def hello(greetee: str) -> str:
    greeting = f"Hello, {greetee}!"
    print(greeting)  # appears on the worker's output
    return greeting
