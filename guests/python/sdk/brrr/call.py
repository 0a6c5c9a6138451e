"""One call of another task."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from brrr import convert
from brrr.errors import CallFailedError, PermanentError
from brrr.host import Failure, Invocation, Outcome
from brrr.loop import current_loop

R = TypeVar("R")


class Call(Coroutine[Any, Any, R], Generic[R]):
    """A call that is made once it is waited for: by `await`, `gather`, `create_task`, a `TaskGroup`, `wait_for`.

    Raises `CallFailedError` if the task failed. Awaited a second time, it gives the same again.
    """

    # Not an `async def`: a race needs the invocation, and Python's own warning about a coroutine that was never awaited
    # would not name the task.

    def __init__(
        self, invocation: Invocation, decode: Callable[[bytes], R], number: int, unstarted: dict[int, Call[Any]]
    ) -> None:
        """number: which call of its run it is. unstarted: those that nobody has waited for yet, by their numbers; this one is
        put into it, and taken out by `begin`."""
        self.invocation = invocation
        self._decode = decode
        self._number = number
        self._steps: Generator[Any, Any, R] | None = None
        self._unstarted: dict[int, Call[Any]] | None = unstarted
        unstarted[number] = self

    def __hash__(self) -> int:
        # Not an address: asyncio puts calls into sets, and polls must have them in the same order in every replay.
        return self._number

    @property
    def __name__(self) -> str:
        """How asyncio shows it."""
        return self.invocation.task

    def begin(self) -> None:
        """Somebody waits for it."""
        if self._unstarted is not None:
            self._unstarted.pop(self._number, None)
            self._unstarted = None

    def __await__(self) -> Generator[Any, Any, R]:
        self.begin()
        (outcome,) = yield from current_loop().wait_for([self.invocation])
        assert outcome is not None, "it is what was waited for"
        return self.result(outcome)

    def result(self, outcome: Outcome) -> R:
        """What an outcome of this call means in Python."""
        if isinstance(outcome, Failure):
            raise CallFailedError(outcome)
        try:
            return self._decode(outcome)
        except convert.MismatchError as error:
            raise PermanentError(f"the result of {self.invocation.task} has another type: {error}") from None
        except (ValueError, RecursionError) as error:
            raise PermanentError(f"the result of {self.invocation.task} is not JSON: {error}") from None

    # What asyncio asks of a coroutine.

    def send(self, value: Any, /) -> Any:
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.send(value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        self.begin()
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.throw(typ) if val is None and tb is None else self._steps.throw(typ, val, tb)

    def close(self) -> None:
        self.begin()
        if self._steps is not None:
            self._steps.close()


class Spawn(Call[str]):
    """The start of a detached job. It is made once it is waited for, as a call is, and gives the job's id."""

    def __await__(self) -> Generator[Any, Any, str]:
        self.begin()
        # The host answers it at once, so nothing has to wait beside it, and what waits already need not be asked for.
        yield from ()
        return self.result(current_loop().ask(self.invocation))
