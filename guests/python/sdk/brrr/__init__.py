"""brrr for Python: define task handlers, build them with ``python -m brrr.build app.py -o app.wasm``.

    import brrr

    @brrr.handler
    async def fib(app, n, salt=None):
        if n < 2:
            return n
        return sum(await app.gather(app.call(fib)(n=n - 2, salt=salt), app.call(fib)(n=n - 1, salt=salt)))
"""

from brrr.app import App, Call
from brrr.errors import CallFailed, Permanent
from brrr.handlers import Options, Task, handler, handler_no_arg, handler_raw
from brrr.host import Failure, Request

__all__ = [
    "App",
    "Call",
    "CallFailed",
    "Failure",
    "Options",
    "Permanent",
    "Request",
    "Task",
    "handler",
    "handler_no_arg",
    "handler_raw",
]
