"""JSON Schemas (2020-12) of annotations."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from brrr import codec, convert

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    dict: {"type": "object"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    timedelta: {"type": "number", "description": "seconds"},
    UUID: {"type": "string", "format": "uuid"},
    Decimal: {"type": ["string", "number"]},
    typing.NoReturn: {"not": {}},
    typing.Never: {"not": {}},
}


def of_arguments(
    parameters: Mapping[str, Any], required: Sequence[str], defaults: Mapping[str, Any], more: bool
) -> dict[str, Any]:
    """Of the one object that holds a call's arguments by name. more: it may have others than these."""
    definitions: dict[str, Any] = {}
    properties = {name: _of(each, definitions) for name, each in parameters.items()}
    for name, default in defaults.items():
        if (plain := _plain(default)) is not _NONE:
            properties[name] = {**properties[name], "default": plain}
    return _whole(_object(properties, required, more), definitions)


def of_result(annotation: Any) -> dict[str, Any]:
    """Of a value with this annotation."""
    definitions: dict[str, Any] = {}
    return _whole(_of(annotation, definitions), definitions)


def _whole(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    whole = {"$schema": DIALECT, **schema, **({"$defs": definitions} if definitions else {})}
    # What an enum's values or a model's own schema may be: no reason for a build to fail.
    return {"$schema": DIALECT} if _plain(whole) is _NONE else whole


_NONE = object()


def _plain(value: Any) -> Any:
    """A value of a user's as JSON has it; `_NONE` where JSON does not have it."""
    try:
        return json.loads(codec.encode_result(value))
    except Exception:  # the conversion runs code of the user's
        return _NONE


def _object(properties: dict[str, Any], required: Sequence[str], more: bool = False) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return schema if more else {**schema, "additionalProperties": False}


def _of(annotation: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    annotation = convert.bare(annotation)
    if isinstance(annotation, (type, types.NoneType)) and annotation in _SIMPLE:
        return dict(_SIMPLE[annotation])
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (typing.NoReturn, typing.Never):
        return dict(_SIMPLE[annotation])
    if origin in (typing.Union, types.UnionType):
        return _of_union([_of(each, definitions) for each in arguments])
    if origin is typing.Literal:
        return {"enum": [convert.plain(each) for each in arguments]}
    if isinstance(origin, type):
        return _of_container(origin, arguments, definitions)
    if isinstance(annotation, type):
        return _of_class(annotation, definitions)
    return {}


def _of_union(members: list[dict[str, Any]]) -> dict[str, Any]:
    if all(member.keys() == {"type"} and isinstance(member["type"], str) for member in members):
        return {"type": [member["type"] for member in members]}
    return {"anyOf": members}


def _of_container(origin: type, arguments: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    if issubclass(origin, Mapping):
        values = _of(arguments[1], definitions) if len(arguments) == 2 else {}
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    if issubclass(origin, tuple) and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        first = [_of(each, definitions) for each in arguments]
        return {"type": "array", "prefixItems": first, "minItems": len(first), "maxItems": len(first)}
    if issubclass(origin, Iterable) and arguments:
        items = _of(arguments[0], definitions)
        return {"type": "array", **({"items": items} if items else {})}
    return _of(origin, definitions)


def _of_class(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hasattr(kind, "model_validate"):
        return _of_model(kind, definitions)
    if issubclass(kind, Enum):
        return {"enum": [convert.plain(member) for member in kind]}
    if dataclasses.is_dataclass(kind):
        fields = [field for field in dataclasses.fields(kind) if field.init]
        required = [field.name for field in fields if convert.is_required(field)]
        return _defined(kind, [field.name for field in fields], required, definitions)
    if typing.is_typeddict(kind):
        required_keys = kind.__required_keys__
        names = list(convert.hints(kind))
        return _defined(kind, names, [name for name in names if name in required_keys], definitions)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        annotations = convert.hints(kind)
        return {"type": "array", "prefixItems": [_of(annotations.get(name), definitions) for name in kind._fields]}
    return {}


def _defined(kind: Any, names: Sequence[str], required: Sequence[str], definitions: dict[str, Any]) -> dict[str, Any]:
    """A class by its name: it may have itself in it."""
    name = kind.__name__
    if name not in definitions:
        definitions[name] = {}  # so that this ends
        annotations = convert.hints(kind)
        properties = {each: _of(annotations.get(each, Any), definitions) for each in names}
        definitions[name] = _object(properties, required)
    return {"$ref": f"#/$defs/{name}"}


def _of_model(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if not callable(getattr(kind, "model_json_schema", None)):
        return {}
    try:
        own = dict(kind.model_json_schema())
    except Exception:  # code of the user's
        return {}
    # What it defines is referred to from the top.
    definitions.update(own.pop("$defs", {}))
    return own
