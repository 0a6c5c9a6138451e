"""Imports the handlers' module while a component is built: `brrr.build` writes a module that begins with this.

A component has no files, so whatever a run may import has to be imported now.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
from typing import Any

from brrr import late, sockets
from brrr.describe import describe, keep_source

MARKS = ("<<brrr ", " brrr>>")
"""Around the text of an error that `brrr.build` is to show."""


class LoadError(Exception):
    """The handlers can't be imported."""


def load(module: str, own: list[str], packages: list[str]) -> None:
    """Imports the module, and what its functions import later.

    own: the folders of the user's sources; packages: those of installed packages.
    """
    _keep_compiled_files_out(own)
    # Before the handlers' own imports, which take functions out of the module `socket`.
    sockets.install()
    without = set(sys.modules)
    try:
        importlib.import_module(module)
        missing = late.load(own, packages, without)
    except BaseException as error:
        _fail(explain(error, packages))
    if missing:
        _fail("\n".join(missing))
    for each in list(sys.modules.values()):
        file = getattr(each, "__file__", None)
        if isinstance(file, str) and file.startswith(tuple(own)):
            keep_source(file)


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
    each: BaseException | None = error
    seen: set[int] = set()
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        if isinstance(each, ImportError) and (native := _native(each, packages)):
            package = native.split("/")[0]
            return (
                f"{package} has native code for this machine ({native}), and a component can't load it: use a package"
                f" of pure Python, or a build of {package} for WASI\n{describe(error)}"
            )
        if isinstance(each, ModuleNotFoundError) and each.name:
            top = each.name.split(".")[0]
            if top in sys.stdlib_module_names:
                return f"a component has no {each.name}, though other Pythons do\n{describe(error)}"
            return f"there is no module {each.name}: is {top} in requirements.txt?\n{describe(error)}"
        each = each.__cause__ or each.__context__
    return describe(error)


def _native(error: ImportError, packages: list[str]) -> str | None:
    """The file of native code that an import needed, as a path below its folder of packages."""
    names = [error.name, f"{error.name}.{name}" if (name := getattr(error, "name_from", None)) else None]
    for path in (name.replace(".", "/") for name in names if name):
        parent, stem = os.path.split(path)
        for folder in packages:
            files = os.listdir(os.path.join(folder, parent)) if os.path.isdir(os.path.join(folder, parent)) else []
            for file in sorted(files):
                if file.split(".")[0] == stem and file.endswith((".so", ".pyd", ".dylib")) and "wasm" not in file:
                    return os.path.join(parent, file)
    return None


def _fail(text: str) -> None:
    raise LoadError(MARKS[0] + text + MARKS[1]) from None
