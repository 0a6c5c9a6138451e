"""Imports that happen inside functions, and codecs that are looked up by name: they are imported while a component is built."""

from __future__ import annotations

import ast
import dis
import encodings.aliases
import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from types import CodeType, FunctionType, ModuleType
from typing import Any

from brrr import missing

_NOT_FOR_HANDLERS = frozenset(
    "_pyrepl argparse ctypes curses distutils doctest ensurepip grp idlelib multiprocessing nt pdb pip pwd pydoc pytest"
    " readline rlcompleter setuptools sitecustomize sqlite3 termios test tkinter tracemalloc turtle unittest usercustomize"
    " venv webbrowser winreg".split()
)
"""What the library imports late, and no handler needs."""

_BY_C = {"strptime": "_strptime"}
"""What the interpreter's own code imports when a method of that name is called."""

_CODECS = "ascii latin_1 utf_8_sig utf_16 utf_16_le utf_16_be utf_32 cp1252 iso8859_1 iso8859_15 unicode_escape".split()
"""Codecs that the data of others may need: small ones, which are often asked for."""


@dataclass
class Lacking:
    """Imports of the user's own functions that failed, a line each."""

    always: list[str] = field(default_factory=list)
    perhaps: list[str] = field(default_factory=list)


def load(own: list[str], packages: list[str], without: set[str]) -> Lacking:
    """Imports what the functions of the imported modules import.

    own, packages: folders of the user's modules and of installed packages; without: modules of the SDK and the library that
    need no look.
    """
    for name in _CODECS:
        _try(f"encodings.{name}")
    lacking = Lacking()
    looked_at: set[str] = set()
    # A module that is imported late may import others late: the user's are looked at until there are no more, of others
    # only those that are there by then.
    while new := [module for module in _modules(own) if module.__name__ not in looked_at]:
        for module in new:
            looked_at.add(module.__name__)
            _load_own(module, packages, lacking)
    for module in _modules(["/"]):
        if module.__name__ not in without and not _is_below(module, own):
            _load_of_others(module)
    if "importlib.resources" in sys.modules:
        _try("importlib.readers")  # asked for by the loaders of modules, which are part of the interpreter
    return lacking


def _modules(folders: list[str]) -> list[ModuleType]:
    return [module for module in list(sys.modules.values()) if _is_below(module, folders)]


def _is_below(module: ModuleType, folders: list[str]) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and file.startswith(tuple(folders))


def _load_own(module: ModuleType, packages: list[str], lacking: Lacking) -> None:
    file = module.__file__ or ""
    try:
        with open(file, "rb") as source:
            tree = ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):
        return  # Not a source file: an extension, for example.
    code = compile(tree, file, "exec", dont_inherit=True)
    _load_by_name([code, *_functions(code)])
    for node, need in late_imports(tree):
        for name, level, members in _names(node):
            error = _import(module, name, level, members)
            if error is None or need is Need.OPTIONAL:
                continue
            why = missing.reason(error, packages) or f"{type(error).__name__}: {error}"
            lines = lacking.always if need is Need.ALWAYS else lacking.perhaps
            lines.append(f"{os.path.basename(file)}:{node.lineno}: {ast.unparse(node)}: {why}")


def _load_of_others(module: ModuleType) -> None:
    # From the functions that are there: to compile all sources once more would leave megabytes of garbage in the component.
    functions = [code for function in _defined(module) for code in (function, *_functions(function))]
    _load_by_name(functions)
    for code in functions:
        for name, level, members in dis._find_imports(code):  # type: ignore[attr-defined]
            if (name or "").split(".")[0] not in _NOT_FOR_HANDLERS:
                _import(module, name or "", level, members or ())


def _defined(module: ModuleType) -> Iterator[CodeType]:
    """The functions and methods that a module defines."""
    todo = list(vars(module).values())
    seen: set[int] = set()
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, type):
            todo += vars(each).values() if each.__module__ == module.__name__ else ()
        elif isinstance(each, (staticmethod, classmethod)):
            todo.append(each.__func__)
        elif isinstance(each, property):
            todo += (each.fget, each.fset)
        elif isinstance(each, FunctionType) and each.__module__ == module.__name__:
            yield each.__code__


_Importing = ast.Import | ast.ImportFrom | ast.Call


class Need(Enum):
    """How much a function needs what it imports."""

    ALWAYS = 1
    """It is a handler, or a coroutine, which only handlers can run here."""
    PERHAPS = 2
    """Another function: it may be one that no handler calls."""
    OPTIONAL = 3
    """It tries, or asks for the platform first."""


def late_imports(tree: ast.AST) -> Iterator[tuple[_Importing, Need]]:
    """The imports inside functions."""

    def visit(node: ast.AST, inside: Need | None, optional: bool) -> Iterator[tuple[_Importing, Need]]:
        if isinstance(node, (ast.Import, ast.ImportFrom)) or (isinstance(node, ast.Call) and any(_names(node))):
            if inside is not None:
                yield node, Need.OPTIONAL if optional else inside
            return
        if isinstance(node, ast.AsyncFunctionDef) or (isinstance(node, ast.FunctionDef) and _is_handler(node)):
            inside = Need.ALWAYS
        elif isinstance(node, (ast.FunctionDef, ast.Lambda)):
            inside = inside or Need.PERHAPS
        if isinstance(node, ast.If) and any(word in ast.unparse(node.test) for word in _CONDITIONS):
            optional = True
        tried = isinstance(node, ast.Try) and any(_catches_import_errors(handler) for handler in node.handlers)
        for part, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from visit(child, inside, optional or (tried and part == "body"))

    yield from visit(tree, None, False)


def _is_handler(function: ast.FunctionDef) -> bool:
    return any("handler" in ast.unparse(decorator) for decorator in function.decorator_list)


_CONDITIONS = ("TYPE_CHECKING", "platform", "os.name", "version_info", "find_spec")


def _catches_import_errors(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
    return any(ast.unparse(each).split(".")[-1] in names for each in types)


def _names(node: _Importing) -> Iterator[tuple[str, int, list[str]]]:
    if isinstance(node, ast.Call):
        # `importlib.import_module("name")`, if the name is written there.
        name = node.args[0] if len(node.args) == 1 else None
        if ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__"):
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and not name.value.startswith("."):
                yield name.value, 0, []
    elif isinstance(node, ast.ImportFrom):
        yield node.module or "", node.level, [alias.name for alias in node.names]
    else:
        for alias in node.names:
            yield alias.name, 0, []


def _import(module: ModuleType, name: str, level: int, members: Any) -> BaseException | None:
    """Imports as a statement in `module` would; the error if that fails."""
    try:
        imported = importlib.import_module("." * level + name, module.__package__ if level else None)
        for member in members:
            if member != "*" and not hasattr(imported, member):
                importlib.import_module(f"{imported.__name__}.{member}")
    except BaseException as error:  # A module may do anything when it is imported, also end the program.
        return error
    return None


def _try(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError:
        pass


def _load_by_name(codes: list[CodeType]) -> None:
    """Imports what code needs without an import: codecs whose names are in it, and what the interpreter imports."""
    for inner in codes:
        for name in _BY_C.keys() & set(inner.co_names):
            _try(_BY_C[name])
        for constant in inner.co_consts:
            if isinstance(constant, str) and 2 < len(constant) < 20 and constant.isascii():
                name = encodings.normalize_encoding(constant).lower()
                aliased = encodings.aliases.aliases.get(name, name)
                if aliased in _codecs():
                    _try(f"encodings.{aliased}")


def _codecs() -> frozenset[str]:
    global _all_codecs
    if _all_codecs is None:
        folder = os.path.dirname(encodings.__file__ or "")
        _all_codecs = frozenset(name.removesuffix(".py") for name in os.listdir(folder)) - {"__init__", "aliases"}
    return _all_codecs


_all_codecs: frozenset[str] | None = None


def _functions(code: CodeType) -> Iterator[CodeType]:
    """The code of what is defined inside."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _functions(constant)
