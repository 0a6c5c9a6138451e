"""The code of README.md is code: all of it compiles, and some of it runs."""

import ast
import re
from pathlib import Path
from typing import Any

import brrr
from brrr.testing import FakeHost, after, rejected

BLOCKS = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.DOTALL)


def names(*words: str) -> dict[str, Any]:
    """What the first block that has all these words defines, with the imports that a page leaves out."""
    (block, *_) = [block for block in BLOCKS if all(word in block for word in words)]
    given: dict[str, Any] = {"brrr": brrr}
    exec("import asyncio\nfrom dataclasses import dataclass, replace\nfrom datetime import date, datetime", given)
    exec("from decimal import Decimal\nfrom enum import Enum\nfrom uuid import UUID\nclass State(Enum): OPEN = 1; ACCEPTED = 2", given)
    if "def pay" not in block:
        exec("@brrr.handler_no_arg\nasync def pay(cents: int) -> str: return 'paid'", given)
    exec(compile(block, "README.md", "exec"), given)
    return given


def test_all_of_it_compiles() -> None:
    assert len(BLOCKS) > 8
    for block in BLOCKS:
        compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_chains() -> None:
    orders = names("async def orders")["orders"]
    host = FakeHost(children={"pay": lambda id: id, "ship": lambda id: f"shipped {id}"})
    assert host.run(orders, [1, 2]) == ["shipped 1", "shipped 2"]


def test_the_limit() -> None:
    charge = names("async def charge")["charge"]
    assert FakeHost(children={"pay": after(60, "paid")}).run(charge, 100) == "given up"
    assert FakeHost().run(charge, 100) == "paid"


def test_the_promise() -> None:
    order = names("app.promise(\"approval\"), 7 *")["order"]
    assert FakeHost(promises={"approval": {"by": "Ann"}}).run(order, 1) == "approved by Ann"
    assert FakeHost(promises={"approval": rejected("no")}).run(order, 1) == "rejected: no"
    assert FakeHost().run(order, 1) == "nobody has answered"


def test_the_detached_job() -> None:
    order = names("app.spawn(")["order"]
    host = FakeHost()
    assert host.run(order, 7) == "order 7 is placed, and 00000000000000000000000000000001 reminds of it"
    assert host.spawned == [("remind", {"order": 7})]


def test_the_types() -> None:
    given = names("async def accept")
    order = given["Order"](given["UUID"](int=1), given["datetime"](2030, 1, 1), given["Decimal"]("1.10"))
    assert FakeHost().run(given["accept"], order) == given["replace"](order, state=given["State"].ACCEPTED)


def test_the_failures() -> None:
    pay = names("async def pay(app, account")["pay"]
    assert FakeHost(children={"fee": 3}).run(pay, "a", "100") == 103
