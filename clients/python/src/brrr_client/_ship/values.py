"""Arguments and results in Python's own types: data classes, times, UUIDs, decimals, enums, and models like pydantic's.

JSON has them in the form that the Python SDK of brrr-host gives them. An argument says by itself what it is. Of a result the
annotation of the function says it.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any
from uuid import UUID

from brrr_client.errors import ShipError, UnexpectedAnswerError

READ: dict[Any, tuple[Callable[[Any], Any], tuple[type, ...]]] = {
    datetime: (datetime.fromisoformat, (str,)),
    date: (date.fromisoformat, (str,)),
    time: (time.fromisoformat, (str,)),
    timedelta: (lambda seconds: timedelta(seconds=seconds), (int, float)),
    UUID: (UUID, (str,)),
    Decimal: (lambda value: Decimal(str(value)), (str, int, float)),
}
"""How types are read from JSON, and from which types of JSON."""

OF_JSON: dict[Any, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
    type(None): (type(None),),
    list: (list,),
    dict: (dict,),
}


FIELDS = "__dataclass_fields__"
"""The attribute by which data classes and their instances are known."""


def _is(value: Any, kinds: Any) -> bool:
    """`isinstance`, after which a type checker still takes the value for anything."""
    return isinstance(value, kinds)


def _is_kind(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


def arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by their names, in types of JSON. Raises TypeError as the function itself would."""
    signature = inspect.signature(function)
    named: dict[str, Any] = {}
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named |= value
        elif kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
            raise ShipError(f"{function.__name__} takes {name} by place only, and a call sends arguments by name")
        else:
            named[name] = value
    return {name: plain(value) for name, value in named.items()}


def plain(value: Any) -> Any:
    """A value in types of JSON. What is not known stays as it is."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (UUID, Decimal)):
        return str(value)
    if _is(value, Mapping):
        return {plain(key): plain(each) for key, each in value.items()}
    if _is(value, (list, tuple)):
        return [plain(each) for each in value]
    if _is(value, type):
        return value
    if hasattr(value, FIELDS):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    return plain(dump(mode="json")) if callable(dump) else value


def result(function: Callable[..., Any], value: Any) -> Any:
    """The result of a call as the function's annotation has it. Raises UnexpectedAnswerError if it does not fit."""
    try:
        wanted = typing.get_type_hints(function, include_extras=True).get("return")
    except Exception:  # An annotation that names what is not there at run time.
        return value
    try:
        return typed(wanted, value)
    except (ValueError, TypeError, LookupError, InvalidOperation, OverflowError) as error:
        raise UnexpectedAnswerError(f"the result of {function.__name__} is not what its annotation says: {error}") from error


def typed(wanted: Any, value: Any) -> Any:
    """A value of JSON as an annotation has it. Raises ValueError or another error if it does not fit."""
    while typing.get_origin(wanted) in (typing.Annotated,) or hasattr(wanted, "__supertype__"):
        wanted = getattr(wanted, "__supertype__", None) or typing.get_args(wanted)[0]
    origin, members = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return _one_of(members, value)
    if isinstance(origin, type):
        return _container(origin, members, value)
    if wanted in READ:
        read, allowed = READ[wanted]
        if not isinstance(value, allowed) or isinstance(value, bool):
            raise ValueError(f"{value!r} is no {wanted.__name__}")
        return read(value)
    if not _is(wanted, type):
        return value
    return _instance(wanted, value)


def _instance(kind: Any, value: Any) -> Any:
    """A value of JSON as an instance of a class."""
    if validate := getattr(kind, "model_validate", None):
        return validate(value)
    if hasattr(kind, FIELDS) or typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: typed(hints.get(name), each) for name, each in dict(value).items()})
    if _is_kind(kind, Enum):
        return kind(value)
    if _is_kind(kind, tuple) and hasattr(kind, "_fields"):
        hints = typing.get_type_hints(kind)
        return kind(*(typed(hints.get(name), each) for name, each in zip(kind._fields, value, strict=True)))
    return value


def _one_of(members: tuple[Any, ...], value: Any) -> Any:
    # What JSON has by itself is exact. Of the others the first that fits counts.
    for member in members:
        if type(value) in OF_JSON.get(member, ()):
            return value
    for member in members:
        if member not in OF_JSON:
            try:
                return typed(member, value)
            except (ValueError, TypeError, LookupError, InvalidOperation, OverflowError):
                continue
    raise ValueError(f"{value!r} is none of {', '.join(str(member) for member in members)}")


def _container(origin: type, members: tuple[Any, ...], value: Any) -> Any:
    if issubclass(origin, tuple) and _is(value, list):
        items = value
        if len(members) == 2 and members[1] is Ellipsis:
            return tuple(typed(members[0], each) for each in items)
        return tuple(typed(member, each) for member, each in zip(members, items, strict=True))
    if issubclass(origin, Mapping) and _is(value, dict) and len(members) == 2:
        entries = value
        return {_key(members[0], name): typed(members[1], each) for name, each in entries.items()}
    if issubclass(origin, Iterable) and _is(value, list) and members:
        return [typed(members[0], each) for each in value]
    return value


def _key(wanted: Any, name: str) -> Any:
    """A key of an object. JSON has only texts."""
    return wanted(name) if wanted in (int, float) else typed(wanted, name)
