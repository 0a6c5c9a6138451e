"""The imports of a module, by its source."""

from __future__ import annotations

import ast
import builtins
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

FAILURES = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
"""The errors by which a module survives an import that fails."""

PLATFORM = ("platform", "version_info", "os.name", "find_spec")
"""What the condition of an import names that depends on the system."""


@dataclass(frozen=True)
class Import:
    """A statement that imports."""

    names: tuple[str, ...]
    """The modules that it may import. Some are names in a module."""
    line: int
    guarded: bool
    """Can the code do without it? It catches the error, or it asks a condition first that this program does not know."""
    function: str | None
    """The outermost function that it is in. None: it is executed when the module is imported."""


@dataclass(frozen=True)
class _Place:
    function: str | None = None
    guarded: bool = False


def imports(tree: ast.AST, package: str) -> Iterator[Import]:
    """The imports of a module, also those in functions, but not those that a component never executes.

    package: the package that the module is in, for relative imports.
    """
    todo: list[tuple[ast.AST, _Place]] = [(tree, _Place())]
    while todo:
        node, place = todo.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if names := tuple(_names(node, package)):
                yield Import(names, node.lineno, place.guarded, place.function)
        else:
            todo += [(child, _within(node, child, place)) for child in parts(node)]


def parts(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement, without a block that a component does not execute."""
    if isinstance(node, ast.If) and _is_elsewhere(node.test):
        yield from node.orelse
    else:
        yield from ast.iter_child_nodes(node)


def _within(node: ast.AST, child: ast.AST, place: _Place) -> _Place:
    """The place of a part of a statement."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        # What is around the definition was executed before the function is.
        return _Place(place.function, place.guarded) if place.function else _Place(node.name)
    return _Place(place.function, place.guarded or _is_guard(node, child, place.function is not None))


def _is_guard(node: ast.AST, child: ast.AST, in_function: bool) -> bool:
    if isinstance(node, ast.ExceptHandler):
        return True  # What follows after an error is seldom executed.
    if isinstance(node, ast.Try):
        return child in node.body and any(_survives(handler) for handler in node.handlers)
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return any("suppress(" in ast.unparse(item) for item in node.items)
    if isinstance(node, ast.If) and not _is_elsewhere(node.test):
        if in_function:
            return any(word in ast.unparse(node.test) for word in PLATFORM)
        # At the top of a module a condition chooses among implementations, unless it only leaves out what the rest needs.
        return child in node.body or any(_has_import(line) for line in node.body)
    return False


def _has_import(node: ast.AST) -> bool:
    return any(isinstance(each, (ast.Import, ast.ImportFrom)) for each in ast.walk(node))


def _survives(handler: ast.ExceptHandler) -> bool:
    """Does it catch the error of an import, and raise none itself?"""
    if isinstance(handler.body[-1], ast.Raise):
        return False
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = [ast.unparse(each).rpartition(".")[2] for each in types]
    # A name that is not Python's own may stand for any errors.
    return any(name in FAILURES or not hasattr(builtins, name) for name in names)


def _names(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    try:
        base = importlib.util.resolve_name("." * node.level + (node.module or ""), package or None)
    except ImportError:
        return  # This program could not import it either.
    yield base
    yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _is_elsewhere(test: ast.expr) -> bool:
    """Is it the test of a block that a component does not run?"""
    text = ast.unparse(test)
    return text in ("TYPE_CHECKING", "typing.TYPE_CHECKING") or text in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )
