"""Finds what a module imports: modules of the user's own, which are copied, and installed distributions, which are pinned.

Imports in functions count too. Those under `if __name__ == "__main__"` and `if TYPE_CHECKING` do not.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from brrr_client._ship.function import Found
from brrr_client._ship.imports import imports
from brrr_client._ship.modules import INSTALLED, above_of, is_native, spec_of
from brrr_client.errors import ShipError

OWN = "brrr_client"
"""A component has a stand-in for this client: a script that ships one of its functions imports it."""

GIVEN = {*sys.stdlib_module_names, "brrr", OWN}
"""What is in every component."""

WITHOUT = (
    "if only your program needs it, import it under `if __name__ == \"__main__\"`; if the function can do without it, catch the "
    "ImportError"
)
"""What one can do about an import that does not work in a component."""


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
    for above in above_of(found.module):
        collector.add(above)
    collector.add_source(found.module, found.file, found.is_package)
    collector.close()
    return collector.closure


class _Collector:
    def __init__(self) -> None:
        self.closure = Closure()
        self._seen: set[str] = set()
        self._distributions: dict[str, importlib.metadata.Distribution] = {}

    def add(self, name: str, guarded: bool = False) -> None:
        """Adds a module of any kind, if there is one of this name. guarded: its importer can do without it."""
        if name in self._seen:
            return
        top = name.partition(".")[0]
        if top in GIVEN:
            self.closure.uses_client = self.closure.uses_client or top == OWN
            return
        spec = spec_of(name)
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
            if guarded:
                self._seen.discard(name)
                return
            what = "it is native code for this machine" if is_native(file.name) else "it is no source of Python"
            raise ShipError(f"the module {name} ({file}) can't be shipped: {what}; {WITHOUT}")
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
        for each in imports(tree, package):
            for imported in each.names:
                for above in above_of(imported):
                    self.add(above, each.guarded)
                self.add(imported, each.guarded)

    def _add_installed(self, top: str, place: str) -> None:
        owners = owners_of(top)
        # Several distributions may have parts of one package.
        exact = [each for each in owners if any(str(each.locate_file(file)) == place for file in each.files or ())]
        if not owners:
            raise ShipError(f"the module {top} ({place}) can't be shipped: no installed distribution has it")
        for each in exact or owners:
            self._distributions[normal(each.metadata["Name"])] = each

    def close(self) -> None:
        """Pins the distributions, and those that they may need."""
        self.closure.requirements = {_pin(each) for each in self._distributions.values()}
        self.closure.constraints = {_pin(each) for each in needed_by(self._distributions.values())}


def needed_by(distributions: Iterable[importlib.metadata.Distribution]) -> list[importlib.metadata.Distribution]:
    """The other installed distributions that these may need."""
    todo, found = list(distributions), list[importlib.metadata.Distribution]()
    seen = {normal(each.metadata["Name"]) for each in todo}
    while todo:
        for text in todo.pop().requires or ():
            match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", text)
            if match is None or normal(match[1]) in seen:
                continue
            seen.add(normal(match[1]))
            try:
                needed = importlib.metadata.distribution(match[1])
            except importlib.metadata.PackageNotFoundError:
                continue  # Of another platform, or an extra that is not wanted.
            found.append(needed)
            todo.append(needed)
    return found


def owners_of(top: str) -> list[importlib.metadata.Distribution]:
    """The installed distributions with modules whose names begin with this one."""
    return _owners().get(top, [])


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


def normal(name: str) -> str:
    """The name of a distribution, as all its spellings are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()
