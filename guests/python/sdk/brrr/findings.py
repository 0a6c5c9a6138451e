"""What the SDK finds wrong with a handler that has returned all the same. Such a line begins with `brrr: `; a worker logs it
as a warning, and `brrr-host test` takes it as an error."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from brrr.app import App
from brrr.describe import describe
from brrr.loop import Loop

PREFIX = "brrr: "


def of(app: App, loop: Loop) -> Iterator[str]:
    """One text for each finding, after the handler's end and before the loop is closed."""
    calls = [*app.never_started(), *loop.never_asked()]
    for task, times in Counter(calls).items() if calls else ():
        if times == 1:
            yield f"{PREFIX}the call of {task} was never waited for, so it was not made; await it"
        else:
            yield f"{PREFIX}{times} calls of {task} were never waited for, so they were not made; await them"
    for where, error in loop.unseen_failures():
        yield f"{PREFIX}nobody saw that this failed: {where}; await it, or catch this: {describe(error)}"


def watch_coroutines(warn: Callable[[str], None]) -> None:
    """From now on `warn` is told of coroutines that were never awaited: the calls in them were never made either."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *more: Any, **named: Any) -> None:
        text = str(message)
        if issubclass(category, RuntimeWarning) and text.endswith("was never awaited"):
            warn(f"{PREFIX}the {text}, so it was not run; await it")
        else:
            shown(message, category, *more, **named)

    warnings.showwarning = show
