"""What a handler's parameters and annotations say: the names of its arguments, how values are converted, the JSON Schemas."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from brrr import convert, schema

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Signature:
    """Of one handler."""

    def __init__(self, fn: Callable[..., Any], takes_app: bool) -> None:
        parameters = convert.parameters(fn)
        self._parameters = parameters[1:] if takes_app else parameters
        self._hints = convert.hints(fn)
        self.by_place = [each.name for each in self._parameters if each.kind in _BY_PLACE]
        """The names of the arguments that may be given by their place."""
        converters = {name: convert.converter(each) for name, each in self._hints.items()}
        self._result = converters.pop("return", None)
        self._arguments = {name: each for name, each in converters.items() if each is not None}

    @property
    def converts_result(self) -> bool:
        """Does `convert_result` change anything?"""
        return self._result is not None

    def named(self, task: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call, all by name. Raises TypeError as Python does for a call of the function."""
        if len(args) > len(self.by_place):
            raise TypeError(f"{task} takes {len(self.by_place)} arguments by place, and {len(args)} were given")
        named = dict(zip(self.by_place, args))
        if twice := named.keys() & kwargs.keys():
            raise TypeError(f"{task} got several values for the argument {', '.join(sorted(twice))}")
        return named | kwargs

    def convert_arguments(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """What arrived as JSON, as the annotations want it. Raises MismatchError."""
        if not self._arguments:
            return args, kwargs
        by_place = [self._convert(name, each) for name, each in zip(self.by_place, args)]
        return by_place + args[len(by_place) :], {name: self._convert(name, each) for name, each in kwargs.items()}

    def _convert(self, name: str, value: Any) -> Any:
        converter = self._arguments.get(name)
        return value if converter is None else converter(value, name)

    def convert_result(self, value: Any) -> Any:
        """What a call gave as JSON, as the annotation of its handler has it. Raises MismatchError."""
        return value if self._result is None else self._result(value, "it")

    def schemas(self) -> Mapping[str, Any]:
        """The JSON Schemas of the arguments, `input`, and of the result, `output`, if there is an annotation of it."""
        parameters = {each.name: each for each in self._parameters if each.kind in (*_BY_PLACE, *_BY_NAME)}
        more = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in self._parameters)
        types = {name: self._hints.get(name, Any) for name in parameters}
        required = [name for name, each in parameters.items() if each.default is inspect.Parameter.empty]
        defaults = {name: each.default for name, each in parameters.items() if name not in required}
        found = {"input": schema.of_arguments(types, required, defaults, more)}
        if "return" in self._hints:
            found["output"] = schema.of_result(self._hints["return"])
        return found
