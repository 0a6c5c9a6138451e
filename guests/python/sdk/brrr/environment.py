"""`os.environ` as a handler sees it: what the worker gives (`run --env KEY`)."""

from __future__ import annotations

import os

_Environ = type(os.environ)


class Environ(_Environ):  # type: ignore[valid-type, misc]
    """Says of a variable that is not there how it would be."""

    def __getitem__(self, key: str) -> str:
        try:
            value: str = super().__getitem__(key)
        except KeyError:
            raise KeyError(f"the variable {key} is not allowed: --env {key}") from None
        return value


def install() -> None:
    """Changes the type of the one `os.environ`: whoever has imported it has that very object."""
    os.environ.__class__ = Environ
