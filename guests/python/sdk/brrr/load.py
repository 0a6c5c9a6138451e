"""Imports the handlers' module while a component is built: `brrr.build` writes a module that begins with this.

A component has no files, so whatever a run may import has to be imported now.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from typing import Any

from brrr import data, describe, late, missing, sockets

MARKS = ("<<brrr ", " brrr>>")
"""Around the text of an error that `brrr.build` is to show."""


WARNINGS = "/0/warnings"
"""The file for what `brrr.build` is to say when all goes well: in its own folder, the first one of the component."""


class LoadError(Exception):
    """The handlers can't be imported."""


def load(module: str, own: list[str], packages: list[str]) -> None:
    """Imports the module, and what its functions import later.

    own: the folders of the user's sources; packages: those of installed packages.
    """
    describe.built = False
    _keep_compiled_files_out(own)
    # Before the handlers' own imports, which take functions out of the module `socket`.
    sockets.install()
    without = set(sys.modules)
    try:
        importlib.import_module(module)
        lacking = late.load(own, packages, without)
    except BaseException as error:
        _fail(f"{module}.py can't be imported: {explain(error, packages)}")
    if lacking.always:
        advice = "if a function can do without one of them, let it catch the ImportError"
        _fail("\n".join(["what functions import must be there when the component is built:", *lacking.always, advice]))
    with open(WARNINGS, "w", encoding="utf-8") as warnings:
        warnings.writelines(f"{line}\n" for line in lacking.perhaps)
    data.collect(packages)
    for each in list(sys.modules.values()):
        file = getattr(each, "__file__", None)
        if isinstance(file, str) and file.startswith(tuple(own)):
            describe.keep_source(file)
    describe.built = True


def _keep_compiled_files_out(own: list[str]) -> None:
    """No `__pycache__` among the user's sources: it is not theirs, and it would hide a change that is made within a second
    and leaves the size as it was. Those of packages save time in the next build."""
    write = importlib.machinery.SourceFileLoader.set_data

    def set_data(self: Any, path: str, data: Any, **more: Any) -> None:
        if not path.startswith(tuple(own)):
            write(self, path, data, **more)

    loader: Any = importlib.machinery.SourceFileLoader
    loader.set_data = set_data


def explain(error: BaseException, packages: list[str]) -> str:
    """The error, after what is known about its reason."""
    why = missing.reason(error, packages)
    text = describe.describe(error)
    return f"{why}\n{text}" if why else text


def _fail(text: str) -> None:
    raise LoadError(MARKS[0] + text + MARKS[1]) from None
