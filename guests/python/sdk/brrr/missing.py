"""Why something can't be imported into a component, in words that say what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator


def reason(error: BaseException, packages: list[str]) -> str | None:
    """What is known about the imports that failed in `error` and its causes. packages: the folders of installed packages."""
    for each in _chain(error):
        if not isinstance(each, ImportError):
            continue
        if native := _native(each, packages):
            package = native.split("/")[0]
            return (
                f"{package} has native code for this machine ({native}), and a component can't load it: use a package"
                f" of pure Python, or a build of {package} for WASI"
            )
        if isinstance(each, ModuleNotFoundError) and each.name:
            top = each.name.split(".")[0]
            if top in sys.stdlib_module_names:
                return f"a component has no {each.name}, though other Pythons do"
            return f"there is no module {each.name}: is {top} in requirements.txt?"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _native(error: ImportError, packages: list[str]) -> str | None:
    """The file of native code that an import needed, as a path below its folder of packages."""
    if error.path and error.path.endswith(_NATIVE):  # found, and then it could not be loaded
        folder = next((folder for folder in packages if error.path.startswith(folder)), "")
        return error.path.removeprefix(folder)
    names = [error.name, f"{error.name}.{name}" if (name := getattr(error, "name_from", None)) else None]
    for path in (name.replace(".", "/") for name in names if name):
        parent, stem = os.path.split(path)
        for folder in packages:
            files = os.listdir(os.path.join(folder, parent)) if os.path.isdir(os.path.join(folder, parent)) else []
            for file in sorted(files):
                if file.split(".")[0] == stem and file.endswith(_NATIVE) and "wasm" not in file:
                    return os.path.join(parent, file)
    return None


_NATIVE = (".so", ".pyd", ".dylib")
