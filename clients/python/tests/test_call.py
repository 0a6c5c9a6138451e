"""Calls of functions: `client.call`."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from brrr_client import Client, JobFailedError, ShipError, UnauthorizedError
from conftest import Connect
from host import PUSH_TOKEN, ROOT, Host
from shipped import shop
from shipped.shop import Bill, Size


def test_a_function_with_packages_that_the_worker_has_never_seen(ships_to_each: Client) -> None:
    bill = ships_to_each.call(shop.bill, "bücher", date(2026, 1, 2), size=Size.LARGE, discount=Decimal("0.5"))
    assert bill == Bill("xn--bcher-kva", Decimal("12"), date(2026, 1, 2), (Size.LARGE, Size.LARGE))
    assert ships_to_each.call(shop.total, ["tea", "tea"]) == 600
    assert ships_to_each.call(shop.decorated, 1) == 2
    assert ships_to_each.call(shop.label, "<tea>") == "&lt;tea&gt;"


def test_the_same_code_is_shipped_once(
    ships_to_each: Client, connect: Connect, each_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    ships_to_each.call(shop.total, ["tea"])
    monkeypatch.setattr(subprocess, "run", None)  # nothing is built
    # A client without the push token can't upload.
    assert connect(each_host.url).call(shop.total, ["bücher"]) == 1250


def test_a_function_has_the_real_clock_and_a_scope(ships_to_each: Client) -> None:
    first = ships_to_each.call(shop.now)
    assert ships_to_each.call(shop.now) == first, "the same call is run once"
    assert ships_to_each.call_with(shop.now, topic="demo", scope="job", wait=60) > first


def test_an_error_comes_back_with_its_chain(ships_to_each: Client) -> None:
    with pytest.raises(JobFailedError) as caught:
        ships_to_each.call(shop.fails, "coffee")
    assert (caught.value.kind, caught.value.task.partition("@")[0]) == ("error", "fails")
    assert "ValueError: there is no coffee" in caught.value.message and "shop.py" in caught.value.message
    assert len(caught.value.chain) == 1


def test_arguments_that_do_not_fit(ships: Client) -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'at'"):
        ships.call(shop.bill, "tea")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    with pytest.raises(ShipError, match="takes n by place only"):
        ships.call(shop.by_place, 1)


def test_code_that_the_gateway_may_not_take(
    connect: Connect, host: Host, start_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A store without the component.
    other = start_host()
    with pytest.raises(UnauthorizedError, match="push token"):
        connect(other.url).call(shop.total, ["tea"])
    connect(other.url, token=PUSH_TOKEN).call(shop.total, ["tea"])


def test_what_can_not_be_shipped(ships: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = 7

    def uses_local_variables() -> int:
        return secret

    def nested() -> int:
        return 1

    session = ModuleType("session")
    exec("def of_a_session():\n    return 1", session.__dict__)
    monkeypatch.setitem(sys.modules, "session", session)
    shipped: list[tuple[Callable[..., Any], str]] = [
        (uses_local_variables, r"it uses variables of the function around it \(secret\)"),
        (nested, "no other program can import it"),
        (lambda: 1, "no other program can import it"),
        (len, "defined by `def` at the top of a module"),
        (ships.close, "defined by `def` at the top of a module"),
        (session.of_a_session, "a session or a notebook"),
        (shop.many, "it is a generator"),
    ]
    for function, why in shipped:
        with pytest.raises(ShipError, match=why):
            ships.call(function)
    monkeypatch.setenv("BRRR_HOST", "/nowhere/brrr-host")
    with pytest.raises(ShipError, match=r"/nowhere/brrr-host is not there.*install brrr-host"):
        ships.call(shop.now)


def test_what_a_script_needs(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/one.py").write_text("import typing\nfrom . import two\nimport parts.three as three\nif typing.TYPE_CHECKING:\n    import pytest")
    (tmp_path / "parts/two.py").write_text("def f():\n    import json, idna, absent")
    (tmp_path / "parts/three.py").write_text("")
    (tmp_path / "not-a-name.py").write_text(
        textwrap.dedent(
            """
            from __future__ import annotations
            from brrr_client import Client, JobFailedError
            from brrr_client._ship.closure import closure
            from brrr_client._ship.function import find
            from parts import one

            def function() -> Client | None:
                return None

            if __name__ == "__main__":
                import pytest
                found = find(function)
                needs = closure(found)
                names = sorted(each.partition("==")[0] for each in needs.requirements)
                print(found.module, sorted(needs.sources), names, needs.uses_client)
            """
        )
    )
    ran = subprocess.run([sys.executable, "not-a-name.py"], cwd=tmp_path, capture_output=True, text=True)
    expected = "brrr_main ['brrr_main.py', 'parts/one.py', 'parts/three.py', 'parts/two.py'] ['idna'] True\n"
    assert (ran.stdout, ran.stderr) == (expected, "")


def test_revisions(tmp_path: Path, connect: Connect, start_host: Callable[..., Host]) -> None:
    host = start_host()
    client = connect(host.url, token=PUSH_TOKEN)
    content = (ROOT / "build/guests/rust/rust-hello.wasm").read_bytes()
    uploaded = client.upload(content)
    assert uploaded.tasks == ("fib", "hello") and uploaded.new_chunks == uploaded.chunks
    assert client.upload(content).new_chunks == 0
    assert client.component(uploaded.digest).tasks == uploaded.tasks
    pushed = client.push("demo", {uploaded.digest: "hello"}, note="first", by="Ann", keep=3, follow="pinned")
    assert (pushed.revision, pushed.percent, pushed.new) == (1, 100, True)
    assert client.push("demo", [uploaded.digest], percent=20, wait=0).revision == 2
    assert client.ramp("demo", 2, 50).percent == 50
    assert client.rollback("demo", 1, note="back").restores == 1
    client.remove_revision("demo", 2)
    revisions = client.deployments("demo")
    assert [(each.revision, each.percent) for each in revisions] == [(3, 100), (1, 100)]
    assert revisions[1].components == {"hello": uploaded.digest} and revisions[1].by == "Ann"
