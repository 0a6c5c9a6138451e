"""Functions that are shipped to a worker, with packages that the worker has never seen. idna is pure Python. markupsafe has native
code for this machine, and can do without it."""

from __future__ import annotations

import asyncio
import enum
import functools
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ParamSpec, TypeVar

import idna
import markupsafe

from .prices import CENTS

P = ParamSpec("P")
R = TypeVar("R")


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Bill:
    host: str
    price: Decimal
    at: date
    sizes: tuple[Size, ...]


def bill(item: str, at: date, *, size: Size = Size.SMALL, discount: Decimal = Decimal(0)) -> Bill:
    return Bill(idna.encode(item).decode(), Decimal(CENTS[item]) / 100 - discount, at, (size, size))


async def total(items: list[str]) -> int | None:
    await asyncio.sleep(0.01)
    return sum(CENTS[item] for item in items)


def label(item: str) -> str:
    return str(markupsafe.escape(item))


def now() -> float:
    return time.time()


def fails(item: str) -> None:
    raise ValueError(f"there is no {item}")


def traced(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return wrapper


@traced
def decorated(n: int) -> int:
    return n + 1


def many() -> Generator[int, None, None]:
    yield 1


def by_place(n: int, /) -> int:
    return n
