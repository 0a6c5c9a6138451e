"""Headers of requests and responses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110's token."""


class Headers(Mapping[str, str]):
    """A mapping whose names have no case. A header that is there several times is joined by commas; `get_all` keeps them
    apart, as `set-cookie` needs."""

    def __init__(self, entries: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in entries.items() if isinstance(entries, Mapping) else entries:
            self._values.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        # Without the values, which may be secrets: this is what a traceback or a log would show.
        return f"<Headers {', '.join(self)}>"

    def get_all(self, name: str) -> list[str]:
        """Every value of that name, in order."""
        return list(self._values.get(name.lower(), ()))

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every name with every value of it."""
        return ((name, value) for name, values in self._values.items() for value in values)

    def without(self, *names: str) -> Headers:
        """A copy without some."""
        return Headers((name, value) for name, value in self.pairs() if name not in names)

    def with_default(self, name: str, value: str) -> Headers:
        """A copy in which that header is there."""
        return self if name in self else Headers([*self.pairs(), (name, value)])


def checked(headers: Headers) -> Headers:
    """The headers, if they can be sent. Raises ValueError, which doesn't repeat the value."""
    for name, value in headers.pairs():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header")
        if any(c in value for c in "\r\n\0"):
            raise ValueError(f"the value of the header {name} has a line break or a NUL in it")
    return headers
