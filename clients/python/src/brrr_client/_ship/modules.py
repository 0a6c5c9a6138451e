"""Finds modules without importing them."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder

INSTALLED = {"site-packages", "dist-packages"}
"""The folders of installed distributions."""

NATIVE = (".so", ".pyd", ".dylib")
"""The ends of the names of files with native code."""


def is_native(file: str) -> bool:
    """Is it the name of a file with native code?"""
    return file.endswith(NATIVE)


def above_of(name: str) -> list[str]:
    """The packages that a module is in, the outermost first."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def spec_of(name: str) -> ModuleSpec | None:
    """Where a module is. None: it is not here."""
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None)
    if isinstance(spec, ModuleSpec):
        return spec
    parent = name.rpartition(".")[0]
    if not parent:
        try:
            return importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
    above = spec_of(parent)
    if above is None or above.submodule_search_locations is None:
        return None
    # `importlib.util.find_spec` would import the package.
    return PathFinder.find_spec(name, list(above.submodule_search_locations))
