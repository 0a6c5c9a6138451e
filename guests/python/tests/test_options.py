"""Options of tasks and of calls, as the WIT wants them."""

from datetime import timedelta
from typing import Any

import brrr
import pytest
from brrr import codec, serve
from brrr.host import Invocation
from conftest import FakeHost, request_for


def test_all_options_of_a_task() -> None:
    @brrr.handler(
        timeout=1.5,
        max_retries=3,
        retry_delay=1,
        max_retry_delay=60,
        backoff="fixed",
        max_running=2,
        memory="64MiB",
        leaf=True,
    )
    async def full(app):
        return None

    assert full.options == brrr.Options(1.5, 3, 1, 60, "fixed", 2, "64MiB", True)
    assert full.options.pairs() == (
        ("leaf", "true"),
        ("timeout-ms", "1500"),
        ("max-retries", "3"),
        ("retry-delay-ms", "1000"),
        ("max-retry-delay-ms", "60000"),
        ("retry-backoff", "fixed"),
        ("max-running", "2"),
        ("memory-bytes", "67108864"),
    )
    assert brrr.Options().pairs() == ()
    assert brrr.Options(memory=1 << 20).pairs() == (("memory-bytes", "1048576"),)


def test_times_are_seconds_or_timedeltas() -> None:
    minute = timedelta(minutes=1)
    assert brrr.Options(timeout=minute, retry_delay=0.5, max_retry_delay=2 * minute).pairs() == (
        ("timeout-ms", "60000"),
        ("retry-delay-ms", "500"),
        ("max-retry-delay-ms", "120000"),
    )


def test_scopes() -> None:
    scopes = ["fleet", "job", "90s", "1h", timedelta(days=1), timedelta(seconds=1.5)]
    assert [value for scope in scopes for _, value in brrr.Options(scope=scope).pairs()] == [
        "fleet", "job", "90s", "1h", "86400s", "1500ms",
    ]  # fmt: skip


def test_every_form_of_handler_takes_options() -> None:
    @brrr.handler_no_arg(max_running=1)
    async def plain():
        return None

    @brrr.handler_raw(max_running=2)
    async def raw(app, payload):
        return payload

    assert [task.options.max_running for task in (plain, raw)] == [1, 2]


@pytest.mark.parametrize(
    "option",
    [
        {"timeout": -1},
        {"retry_delay": float("nan")},
        {"max_retry_delay": float("inf")},
        {"max_retries": -1},
        {"max_retries": 1.5},
        {"backoff": "linear"},
        {"max_running": 0},
        {"memory": "64MB"},
        {"memory": -1},
        {"scope": "tree"},
        {"scope": "0s"},
        {"scope": 90},
        {"scope": timedelta(0)},
        {"input_schema": {"type": {1, 2}}},
    ],
)
def test_nonsense_is_refused_by_name(option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(ValueError, match=f"^{name} is "):
        brrr.handler(**option)(lambda app: None)


def calls_of(task: brrr.Task[..., Any]) -> list[Invocation]:
    seen: list[Invocation] = []
    host = FakeHost(lambda call: seen.append(call) or b"null")
    assert serve.handle(request_for(task.name), host) == b"null"
    return seen


def test_options_go_with_a_call_and_the_host_makes_its_hash() -> None:
    @brrr.handler
    async def caller(app):
        await app.call("dice")(sides=6)
        await app.call("dice", topic="casino", max_retries=0, label=None)(sides=6)
        await app.call(
            "dice",
            timeout=1.5,
            max_retries=3,
            retry_delay=1,
            max_retry_delay=60,
            backoff="exponential",
            label="throw 1",
        )(sides=6)
        await app.call("dice", call_hash="mine")(sides=6)
        await app.call("dice", scope=timedelta(hours=1))(sides=6)
        await app.call_raw("dice", b"6", timeout=2)
        await app.call_raw("dice", b"6", call_hash="mine", topic="casino")

    plain, elsewhere, full, own, scoped, raw, raw_own = calls_of(caller)
    payload = codec.encode_arguments({"sides": 6})
    peers = ("hash-of", "python")
    assert plain == Invocation("dice", payload, None, None, (peers,))
    assert elsewhere == Invocation("dice", payload, "casino", None, (peers, ("max-retries", "0")))
    options = (
        peers,
        ("timeout-ms", "1500"),
        ("max-retries", "3"),
        ("retry-delay-ms", "1000"),
        ("max-retry-delay-ms", "60000"),
        ("retry-backoff", "exponential"),
        ("label", "throw 1"),
    )
    assert full == Invocation("dice", payload, None, None, options)
    assert own == Invocation("dice", payload, None, "mine", ())
    assert scoped == Invocation("dice", payload, None, None, (peers, ("scope", "3600s")))
    assert raw == Invocation("dice", b"6", None, None, (("timeout-ms", "2000"),))
    assert raw_own == Invocation("dice", b"6", "casino", "mine", ())


def test_a_call_has_a_hash_or_a_scope() -> None:
    with pytest.raises(ValueError, match="call_hash or a scope"):
        brrr.App(request_for("any")).call("dice", call_hash="mine", scope="job")()


@pytest.mark.parametrize("option", [{"timout": 1}, {"max_running": 1}, {"leaf": True}])
def test_what_is_no_option_of_a_call_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        brrr.App(request_for("any")).call("dice", **option)()
    with pytest.raises(ValueError, match="^backoff is "):
        brrr.App(request_for("any")).call_raw("dice", b"", backoff="linear")
