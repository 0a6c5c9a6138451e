"""Values of Python's own types as JSON and back: data classes, times, UUIDs, decimals, enums, and models like pydantic's.

On the way out a value says by itself what it is. On the way in the annotation says it.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any
from uuid import UUID

from brrr.places import DEPTH, below

annotationlib: Any
try:
    import annotationlib  # type: ignore[import-not-found,no-redef,unused-ignore]
except ImportError:  # before Python 3.14
    annotationlib = None

Converter = Callable[[Any, str], Any]
"""Makes a value of JSON what an annotation says. Gets the value and its place; raises MismatchError."""


class MismatchError(ValueError):
    """A value of JSON is not what an annotation says. The message has its place."""


# Out.


def plain(value: Any) -> Any:
    """The value in the types of JSON, as far as that is known. What is not known stays as it is."""
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    if depth > DEPTH:
        return value  # it is refused for its depth, or contains itself
    if isinstance(value, Enum):
        return _plain(value.value, depth + 1)
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, Mapping):
        made = {_plain_key(key): _plain(inner, depth + 1) for key, inner in value.items()}
        return made if len(made) == len(value) else value  # it is refused for its keys
    if isinstance(value, (list, tuple)):
        return [_plain(inner, depth + 1) for inner in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (UUID, Decimal)):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name), depth + 1) for field in dataclasses.fields(value)}
    if callable(getattr(value, "model_dump", None)) and not isinstance(value, type):
        return _plain(_dumped(value), depth + 1)
    return value


def _plain_key(key: Any) -> Any:
    return _plain(key, 0) if isinstance(key, (Enum, UUID, datetime, date, time, Decimal)) else key


def _dumped(model: Any) -> Any:
    try:
        return model.model_dump(mode="json")
    except TypeError:
        return model.model_dump()  # a model of another library, which has only the name in common


# In.


def converter(annotation: Any) -> Converter | None:
    """What makes values of JSON fit an annotation; None: they stay as they are."""
    annotation = bare(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _of_union(arguments)
    if isinstance(origin, type):
        return _of_container(origin, arguments)
    if not isinstance(annotation, type):
        return None
    if hasattr(annotation, "model_validate"):
        return _of_model(annotation)
    if dataclasses.is_dataclass(annotation):
        return _OfDataclass(annotation)
    if typing.is_typeddict(annotation):
        return _OfTypedDict(annotation)
    if issubclass(annotation, Enum):
        return _calling(annotation, "a value of")
    if issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        return _OfNamedTuple(annotation)
    return _SIMPLE.get(annotation)


def bare(annotation: Any) -> Any:
    """An annotation without `Annotated`, `NewType`, `Required` and names of types around it."""
    while True:
        if typing.get_origin(annotation) in (typing.Annotated, typing.Required, typing.NotRequired):
            annotation = typing.get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def mismatch(place: str, expected: str, value: Any) -> MismatchError:
    """The error of a value that is something else than expected."""
    shown = repr(value)
    return MismatchError(f"{place} is not {expected}: {shown if len(shown) <= 100 else shown[:100] + '…'}")


def _calling(read: Callable[[Any], Any], what: str, allowed: tuple[type, ...] = (object,)) -> Converter:
    name = getattr(read, "__qualname__", "").removesuffix(".fromisoformat")

    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, allowed) or (isinstance(value, bool) and object not in allowed):
            raise mismatch(place, f"{what} {name}", value)
        try:
            return read(value)
        except (ValueError, TypeError, OverflowError, InvalidOperation):
            raise mismatch(place, f"{what} {name}", value) from None

    return convert


def _decimal(value: Any) -> Decimal:
    return Decimal(value if isinstance(value, int) else str(value))


def _timedelta(value: Any) -> timedelta:
    return timedelta(seconds=value)


_decimal.__qualname__, _timedelta.__qualname__ = "Decimal", "timedelta"

_SIMPLE: dict[type, Converter] = {
    datetime: _calling(datetime.fromisoformat, "a", (str,)),
    date: _calling(date.fromisoformat, "a", (str,)),
    time: _calling(time.fromisoformat, "a", (str,)),
    timedelta: _calling(_timedelta, "the seconds of a", (int, float)),
    UUID: _calling(UUID, "a", (str,)),
    Decimal: _calling(_decimal, "a", (str, int, float)),
}

_OF_JSON: dict[Any, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
    type(None): (type(None),),
    list: (list,),
    dict: (dict,),
}
"""Types that values of JSON have already."""


def _of_union(members: tuple[Any, ...]) -> Converter | None:
    converters = [(member, converter(member)) for member in members]
    if all(each is None for _, each in converters):
        return None

    def convert(value: Any, place: str) -> Any:
        failed: list[str] = []
        for member, each in converters:
            if each is not None:
                try:
                    return each(value, place)
                except MismatchError as error:
                    failed.append(str(error))
            else:
                own = bare(member)
                kinds = _OF_JSON.get(typing.get_origin(own) or own)
                if kinds is None or isinstance(value, kinds):
                    return value
        raise MismatchError("; ".join(failed))

    return convert


def _of_container(origin: type, arguments: tuple[Any, ...]) -> Converter | None:
    if issubclass(origin, Mapping) and len(arguments) == 2:
        return _of_mapping(converter(arguments[0]), converter(arguments[1]))
    if issubclass(origin, tuple) and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return _of_tuple([converter(each) for each in arguments])
    # Not of a `set`, which a result can't hold either.
    if issubclass(origin, Sequence) or origin is Iterable:
        inner = converter(arguments[0]) if arguments else None
        return _of_list(inner, tuple if issubclass(origin, tuple) else list)
    return converter(origin)  # a class with parameters


def _of_list(inner: Converter | None, kind: type[list[Any]] | type[tuple[Any, ...]]) -> Converter | None:
    if inner is None and kind is list:
        return None

    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, list):
            raise mismatch(place, "a list", value)
        return kind(each if inner is None else inner(each, f"{place}[{i}]") for i, each in enumerate(value))

    return convert


def _of_tuple(inner: list[Converter | None]) -> Converter:
    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, list) or len(value) != len(inner):
            raise mismatch(place, f"a list of {len(inner)}", value)
        pairs = zip(value, inner, strict=True)
        return tuple(v if each is None else each(v, f"{place}[{i}]") for i, (v, each) in enumerate(pairs))

    return convert


def _of_mapping(keys: Converter | None, values: Converter | None) -> Converter | None:
    if keys is None and values is None:
        return None

    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise mismatch(place, "an object", value)
        return {
            key if keys is None else keys(key, f"the key {key!r} of {place}"): each
            if values is None
            else values(each, below(place, key))
            for key, each in value.items()
        }

    return convert


def _of_model(model: Any) -> Converter:
    def convert(value: Any, place: str) -> Any:
        try:
            return model.model_validate(value)
        except Exception as error:  # what a model raises is its library's affair
            raise MismatchError(f"{place} is not a {model.__name__}: {error}") from error

    return convert


class _OfFields:
    """Of a class whose fields have annotations. They are looked at when they are needed: a class may have itself in it."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self._converters: dict[str, Converter | None] | None = None

    def converters(self) -> dict[str, Converter | None]:
        """By the names of the fields."""
        if self._converters is None:
            self._converters = {name: converter(each) for name, each in hints(self.kind).items()}
        return self._converters

    def field(self, name: str, value: Any, place: str) -> Any:
        """The value of one field."""
        each = self.converters().get(name)
        return value if each is None else each(value, below(place, name))


class _OfDataclass(_OfFields):
    def __call__(self, value: Any, place: str) -> Any:
        fields = {field.name: field for field in dataclasses.fields(self.kind)}
        if not isinstance(value, dict):
            raise mismatch(place, f"an object with the fields of {self.kind.__name__}", value)
        if unknown := [name for name in value if name not in fields]:
            raise MismatchError(f"{place} has a field that {self.kind.__name__} does not have: {', '.join(unknown)}")
        given = {name: self.field(name, each, place) for name, each in value.items() if fields[name].init}
        missing = [name for name, field in fields.items() if name not in given and is_required(field)]
        if missing:
            raise MismatchError(f"{place} lacks a field of {self.kind.__name__}: {', '.join(missing)}")
        try:
            return self.kind(**given)
        except (ValueError, TypeError) as error:
            raise MismatchError(f"{place} is not a {self.kind.__name__}: {error}") from error


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Must the field be given?"""
    return field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


class _OfTypedDict(_OfFields):
    def __call__(self, value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise mismatch(place, "an object", value)
        return {name: self.field(name, each, place) for name, each in value.items()}


class _OfNamedTuple(_OfFields):
    def __call__(self, value: Any, place: str) -> Any:
        names = self.kind._fields
        if not isinstance(value, list) or len(value) > len(names):
            raise mismatch(place, f"a list of the fields of {self.kind.__name__}", value)
        try:
            return self.kind(*(self.field(name, each, place) for name, each in zip(names, value)))
        except TypeError as error:
            raise MismatchError(f"{place} is not a {self.kind.__name__}: {error}") from error


def hints(thing: Any) -> dict[str, Any]:
    """The annotations of a function or a class. Of those that name what is not there at run time (imports for type checkers,
    for example) it has `Any`."""
    try:
        return typing.get_type_hints(thing, include_extras=True)
    except Exception:
        pass
    written = _written(thing)
    names = {**vars(typing), **getattr(thing, "__globals__", vars(_module_of(thing)))}
    return {name: _evaluated(each, names) for name, each in written.items()}


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function, whatever its annotations name."""
    # Python 3.14 evaluates annotations when somebody looks at them, and older ones don't know the argument.
    lenient: Any = {} if annotationlib is None else {"annotation_format": annotationlib.Format.FORWARDREF}
    return list(inspect.signature(function, **lenient).parameters.values())


def _written(thing: Any) -> dict[str, Any]:
    if annotationlib is None:
        return dict(thing.__annotations__)
    return dict(annotationlib.get_annotations(thing, format=annotationlib.Format.FORWARDREF))


def _module_of(thing: Any) -> Any:
    return sys.modules.get(getattr(thing, "__module__", ""), typing)


def _evaluated(annotation: Any, names: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, names)  # it is the author's own source
    except Exception:
        return Any
