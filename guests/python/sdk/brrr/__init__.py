"""brrr for Python: define task handlers, build them with ``python -m brrr.build app.py -o app.wasm``.

    import brrr

    @brrr.handler
    async def fib(app, n, salt=None):
        if n < 2:
            return n
        return sum(await app.gather(app.call(fib)(n - 2, salt), app.call(fib)(n - 1, salt)))
"""

from brrr.app import App
from brrr.call import Call
from brrr.errors import CallFailedError, PermanentError, RetryableError
from brrr.handlers import Task, handler, handler_no_arg, handler_raw
from brrr.host import Failure, Request
from brrr.options import Backoff, CallOptions, Duration, HandlerOptions, Options, Scope
from brrr.version import VERSION

__version__ = VERSION

__all__ = [
    "App",
    "Backoff",
    "Call",
    "CallFailedError",
    "CallOptions",
    "Duration",
    "Failure",
    "HandlerOptions",
    "Options",
    "PermanentError",
    "Request",
    "RetryableError",
    "Scope",
    "Task",
    "handler",
    "handler_no_arg",
    "handler_raw",
]
