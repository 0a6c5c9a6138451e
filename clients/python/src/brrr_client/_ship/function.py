"""Finds the module of a function. A worker imports the same function from a copy of that module."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from brrr_client.errors import ShipError

MAIN = "brrr_main"
"""The module of a script whose file's name is no name of a module."""


@dataclass(frozen=True)
class Found:
    """A function that can be shipped."""

    module: str
    """The name of its module, as another program imports it."""
    name: str
    file: Path
    """The source of the module."""
    is_package: bool
    """Is the module a package (`__init__.py`)?"""


def find(function: Callable[..., Any]) -> Found:
    """Finds the module of a function. Raises ShipError if a worker could not import the function from there."""
    if not isinstance(function, FunctionType):
        raise ShipError(f"{function!r} can't be shipped; give a function that is defined by `def` at the top of a module")
    name, module = function.__name__, sys.modules.get(function.__module__)
    if module is None or getattr(module, name, None) is not function:
        raise ShipError(f"{function.__qualname__} can't be shipped: {_why_not(function)}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ShipError(f"{name} can't be shipped: it is a generator, and a call has one result; return a list")
    file = getattr(module, "__file__", None)
    # A wrapper of a decorator is defined elsewhere, and the function in it is not.
    defined = inspect.unwrap(function).__code__.co_filename
    if file is None or Path(file).suffix != ".py" or not Path(defined).is_file():
        raise ShipError(
            f"{name} can't be shipped: it is defined in a session or a notebook, of which there is no file; "
            "write it into a module, and import it from there"
        )
    path = Path(file).resolve()
    return Found(_name_of(module, path), name, path, path.name == "__init__.py")


def _name_of(module: ModuleType, file: Path) -> str:
    if module.__name__ != "__main__":
        return module.__name__
    if module.__spec__ is not None:
        return module.__spec__.name  # python -m package.module
    return file.stem if file.stem.isidentifier() else MAIN


def _why_not(function: FunctionType) -> str:
    advice = "define it by `def` at the top of a module"
    if function.__code__.co_freevars:
        variables = ", ".join(function.__code__.co_freevars)
        return f"it uses variables of the function around it ({variables}); {advice}, and pass them as arguments"
    if "<lambda>" in function.__qualname__ or "<locals>" in function.__qualname__:
        return f"no other program can import it; {advice}"
    return f"the module {function.__module__} has another thing under this name; {advice}"
