import brrr


@brrr.handler
async def fib(app, n, salt=None):
    if n in (0, 1):
        return n
    return sum(await app.gather(app.call(fib)(n=n - 2, salt=salt), app.call(fib)(n=n - 1, salt=salt)))


@brrr.handler_no_arg  # a handler that calls nobody needs no `app`
async def hello(greetee):
    greeting = f"Hello, {greetee}!"
    print(greeting)  # appears on the worker's output
    return greeting
