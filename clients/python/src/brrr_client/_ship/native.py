"""Refuses functions that need native code, which no component can load.

This follows the imports from the module of the function, and imports nothing. So it is found before packages are installed, and before
anything is built or sent. A module whose name is put together at run time is not seen here; the build or the job fails then.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import SOURCE_SUFFIXES
from importlib.metadata import Distribution, distribution
from pathlib import Path

from brrr_client._ship.closure import GIVEN, WITHOUT, Closure, needed_by, normal, owners_of
from brrr_client._ship.function import Found
from brrr_client._ship.imports import Import, imports, parts
from brrr_client._ship.modules import INSTALLED, above_of, is_native, spec_of
from brrr_client.errors import ShipError


@dataclass(frozen=True)
class _Module:
    """An installed module."""

    name: str
    origin: Path
    source: Path | None
    """None: it has native code, and no source that a component could take instead."""
    is_package: bool

    @property
    def package(self) -> str:
        """The package for its relative imports."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def refuse_native(found: Found, needs: Closure) -> None:
    """Raises ShipError if the function can't do without a module of native code."""
    own = {_name_of(path): (path, ast.parse(source)) for path, source in needs.sources.items()}
    called = _called(found.name, [tree for _, tree in own.values()])
    installed = _Installed()
    todo, seen = deque([*above_of(found.module), found.module]), set[str]()
    while todo:
        module = todo.popleft()
        if module in seen or module not in own:
            continue
        seen.add(module)
        path, tree = own[module]
        package = module if Path(path).stem == "__init__" else module.rpartition(".")[0]
        for each in sorted(imports(tree, package), key=lambda each: each.line):
            if each.guarded or (each.function is not None and each.function not in called):
                continue
            for name in each.names:
                todo += [*above_of(name), name]
                if name.partition(".")[0] not in own and (native := installed.native(name)):
                    raise ShipError(_message(found.name, f"{path}:{each.line}", name, native))


def with_native_code(needs: Closure) -> list[str]:
    """The packages that have native code, of those that the function needs or may need."""
    pins = sorted(needs.requirements | needs.constraints)
    return [pin.replace("==", " ") for pin in pins if _has_native_code(distribution(pin.partition("==")[0]))]


def _has_native_code(package: Distribution) -> bool:
    # Without a list of its files it may have any.
    return package.files is None or any(is_native(file.name) for file in package.files)


def _name_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _message(function: str, place: str, name: str, native: _Module) -> str:
    top = name.partition(".")[0]
    owner = _owner(native)
    package = top if owner is None else f"{owner.metadata['Name']} {owner.version}"
    needs = "" if owner is None or owner in owners_of(top) else f"{top} needs {package}, and "
    return (
        f"{function} can't be shipped: {place} imports {top}; {needs}{package} has native code for this machine "
        f"({_short(native.origin)}), which no component can load. Use a package of pure Python instead; {WITHOUT}"
    )


def _short(file: Path) -> str:
    """The path of a file below the folder of installed packages."""
    places = [index for index, part in enumerate(file.parts) if part in INSTALLED]
    return "/".join(file.parts[places[-1] + 1 :]) if places else str(file)


class _Installed:
    """The installed modules that were looked at."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def native(self, name: str) -> _Module | None:
        """A module of native code that can't be missing if a program imports this module."""
        if not _may_need_native(name.partition(".")[0]):
            return None
        late, optional = dict[str, _Module](), set[str]()
        todo = deque([name])
        while todo:
            name_of_next = todo.popleft()
            for each in (*above_of(name_of_next), name_of_next):
                module = None if each in self._seen else _installed(each)
                self._seen.add(each)
                if module is None:
                    continue
                if module.source is None:
                    return module
                for imported in _imports_of(module.source, module.package):
                    if imported.function is None and not imported.guarded:
                        todo += imported.names
                    elif _distributions(each) & _distributions(name):
                        found = _native_of(imported.names, _distributions(name))
                        if imported.guarded:
                            optional |= found.keys()
                        else:
                            late |= found
        # Functions of the package import it when they are called. A package that has another way asks for it elsewhere.
        return next((module for each, module in late.items() if each not in optional), None)


def _native_of(names: Iterable[str], distributions: frozenset[str]) -> dict[str, _Module]:
    """Those of the modules that are native code of these distributions."""
    found = ((name, _installed(name)) for name in names if _distributions(name) & distributions)
    return {name: module for name, module in found if module is not None and module.source is None}


def _installed(name: str) -> _Module | None:
    """Finds an installed module. None: it is part of Python, or not here, or has no file."""
    if name.partition(".")[0] in GIVEN:
        return None
    spec = spec_of(name)
    if spec is None or not spec.has_location or spec.origin is None:
        return None
    origin, is_package = Path(spec.origin), spec.submodule_search_locations is not None
    if not is_native(origin.name):
        return _Module(name, origin, origin, is_package) if origin.suffix in SOURCE_SUFFIXES else None
    # Compiled modules have their sources beside them if they can be used without the compilation.
    source = origin.with_name(origin.name.partition(".")[0] + ".py")
    return _Module(name, origin, source if source.is_file() else None, is_package)


@lru_cache(maxsize=None)
def _may_need_native(top: str) -> bool:
    """Has a distribution with such modules, or one that it may need, native code? Most have none, and some have very many modules."""
    owners = owners_of(top)
    return any(_has_native_code(each) for each in (*owners, *needed_by(owners)))


@lru_cache(maxsize=None)
def _imports_of(source: Path, package: str) -> tuple[Import, ...]:
    try:
        return tuple(imports(ast.parse(source.read_bytes()), package))
    except (OSError, SyntaxError, ValueError):
        return ()


@lru_cache(maxsize=None)
def _distributions(name: str) -> frozenset[str]:
    """The distributions that a module may be of."""
    return frozenset(normal(each.metadata["Name"]) for each in owners_of(name.partition(".")[0]))


def _owner(module: _Module) -> Distribution | None:
    """The distribution that a module is of."""
    owners = owners_of(module.name.partition(".")[0])
    exact = [each for each in owners if any(Path(str(each.locate_file(file))) == module.origin for file in each.files or ())]
    return next(iter(exact or owners), None)


def _called(function: str, trees: list[ast.Module]) -> set[str]:
    """The names of the functions that a call of this function may call. Functions of the same name count as one."""
    used, bodies = {function}, dict[str, set[str]]()
    for tree in trees:
        _collect(tree, used, bodies)
    # Python itself calls the methods with such names.
    used |= {name for name in bodies if name.startswith("__")}
    todo = list(used)
    while todo:
        new = bodies.get(todo.pop(), set()) - used
        used |= new
        todo += new
    return used


def _collect(node: ast.AST, used: set[str], bodies: dict[str, set[str]]) -> None:
    """Collects the names that a module uses when it is imported, and those in the bodies of its functions."""
    for part in parts(node):
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
            bodies.setdefault(part.name, set()).update(*(_names(each) for line in part.body for each in ast.walk(line)))
            for around in (part.args, *part.decorator_list):
                used.update(*(_names(each) for each in ast.walk(around)))
        else:
            used.update(_names(part))
            _collect(part, used, bodies)


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.ImportFrom):
        # The code uses the function by its new name.
        yield from (alias.name for alias in node.names if alias.asname)
