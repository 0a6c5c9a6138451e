"""Finds what a module imports: modules of the user's own, which are copied, and installed distributions, which are pinned.

Imports in functions count too. Those under `if __name__ == "__main__"` and `if TYPE_CHECKING` do not.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from brrr_client._ship.function import Found
from brrr_client.errors import ShipError

OWN = "brrr_client"
"""A component has a stand-in for this client: a script that ships one of its functions imports it."""

GIVEN = {*sys.stdlib_module_names, "brrr", OWN}
"""What is in every component."""

INSTALLED = {"site-packages", "dist-packages"}
"""The folders of installed distributions."""


@dataclass
class Closure:
    """What a module needs."""

    sources: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """The user's own modules, by their paths in a project."""
    requirements: set[str] = field(default_factory=set[str])
    """The distributions that they import, with their versions."""
    constraints: set[str] = field(default_factory=set[str])
    """The versions of the distributions that those may need."""
    uses_client: bool = False


def closure(found: Found) -> Closure:
    """What a function's module needs. Raises ShipError if a part of it can't be shipped."""
    collector = _Collector()
    for above in _above(found.module):
        collector.add(above)
    collector.add_source(found.module, found.file, found.is_package)
    collector.close()
    return collector.closure


class _Collector:
    def __init__(self) -> None:
        self.closure = Closure()
        self._seen: set[str] = set()
        self._distributions: dict[str, importlib.metadata.Distribution] = {}

    def add(self, name: str) -> None:
        """Adds a module of any kind, if there is one of this name."""
        if name in self._seen:
            return
        top = name.partition(".")[0]
        if top in GIVEN:
            self.closure.uses_client = self.closure.uses_client or top == OWN
            return
        spec = _spec(name)
        if spec is None:
            return  # A name in a module, or a module that is not here. If the function needs it, the build says so.
        self._seen.add(name)
        places = [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
        if any(INSTALLED & set(Path(place).parts) for place in places):
            self._add_installed(top, places[0])
            return
        if not spec.has_location or spec.origin is None:
            return  # A package without `__init__.py`.
        file = Path(spec.origin)
        if file.suffix != ".py" or not file.is_file():
            raise ShipError(f"the module {name} ({file}) can't be shipped: it is no source of Python")
        self.add_source(name, file, spec.submodule_search_locations is not None)

    def add_source(self, name: str, file: Path, is_package: bool) -> None:
        """Adds a module of the user's own, and what it imports."""
        self._seen.add(name)
        path = name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
        source = self.closure.sources[path] = file.read_bytes()
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError) as error:
            raise ShipError(f"{file} can't be shipped: {error}") from error
        package = name if is_package else name.rpartition(".")[0]
        for imported in _imported(tree, package):
            for above in _above(imported):
                self.add(above)
            self.add(imported)

    def _add_installed(self, top: str, place: str) -> None:
        owners = _owners().get(top, [])
        # Several distributions may have parts of one package.
        exact = [each for each in owners if any(str(each.locate_file(file)) == place for file in each.files or ())]
        if not owners:
            raise ShipError(f"the module {top} ({place}) can't be shipped: no installed distribution has it")
        for each in exact or owners:
            self._distributions[_normal(each.metadata["Name"])] = each

    def close(self) -> None:
        """Pins the distributions, and those that they may need."""
        self.closure.requirements = {_pin(each) for each in self._distributions.values()}
        todo, seen = list(self._distributions.values()), set(self._distributions)
        while todo:
            for text in todo.pop().requires or ():
                match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", text)
                if match is None or _normal(match[1]) in seen:
                    continue
                seen.add(_normal(match[1]))
                try:
                    needed = importlib.metadata.distribution(match[1])
                except importlib.metadata.PackageNotFoundError:
                    continue  # Of another platform, or an extra that is not wanted.
                self.closure.constraints.add(_pin(needed))
                todo.append(needed)


def _above(name: str) -> list[str]:
    """The packages that a module is in, the outermost first."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _spec(name: str) -> ModuleSpec | None:
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
    above = _spec(parent)
    if above is None or above.submodule_search_locations is None:
        return None
    # `importlib.util.find_spec` would import the package.
    return PathFinder.find_spec(name, list(above.submodule_search_locations))


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """The names of the modules that a module may import. Some are names in a module."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            try:
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package or None)
            except ImportError:
                continue  # This program could not import it either.
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.If) and _is_elsewhere(node.test):
            todo += node.orelse
        else:
            todo += ast.iter_child_nodes(node)


def _is_elsewhere(test: ast.expr) -> bool:
    """Is it the test of a block that a component does not run?"""
    text = ast.unparse(test)
    return text in ("TYPE_CHECKING", "typing.TYPE_CHECKING") or text in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )


@lru_cache(maxsize=1)
def _owners() -> dict[str, list[importlib.metadata.Distribution]]:
    """The installed distributions, by the names that their modules begin with."""
    owners: dict[str, list[importlib.metadata.Distribution]] = {}
    for each in importlib.metadata.distributions():
        tops = {file.parts[0].partition(".")[0] for file in each.files or () if file.suffix in (".py", ".so", ".pyd")}
        for top in tops:
            owners.setdefault(top, []).append(each)
    return owners


def _pin(distribution: importlib.metadata.Distribution) -> str:
    return f"{distribution.metadata['Name']}=={distribution.version}"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
