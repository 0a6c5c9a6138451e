"""The bytes of the existing Python worker, from tests/support/vectors."""

import json
from pathlib import Path

import pytest
from brrr import codec

VECTORS = Path(__file__).parents[3] / "tests" / "support" / "vectors"


def vectors(name: str) -> list[dict]:
    return json.loads((VECTORS / name).read_text())


@pytest.mark.parametrize("vector", [v for v in vectors("json_calls_python.json") if "payload" in v])
def test_calls_are_the_peers(vector: dict) -> None:
    kwargs = eval(vector["kwargs_repr"], {"inf": float("inf"), "nan": float("nan")})
    if "NaN" in vector["payload"]["text"]:
        with pytest.raises(codec.NotJSONError, match="inf is Infinity"):
            codec.encode_arguments(kwargs)
        return
    assert codec.encode_arguments(kwargs).hex() == vector["payload"]["hex"]


@pytest.mark.parametrize("vector", vectors("json_returns_python.json"))
def test_results_are_the_peers(vector: dict) -> None:
    assert codec.encode_result(vector["value"]).hex() == vector["bytes"]["hex"]
    assert codec.decode_result(bytes.fromhex(vector["bytes"]["hex"])) == vector["decoded"]


@pytest.mark.parametrize("vector", vectors("json_returns_typescript.json"))
def test_results_of_the_typescript_peer_are_read(vector: dict) -> None:
    assert codec.decode_result(bytes.fromhex(vector["bytes"]["hex"])) == vector.get("decoded")


@pytest.mark.parametrize("vector", [v for v in vectors("json_calls_typescript.json") if "payload" in v])
def test_payloads_of_the_typescript_peer_are_read(vector: dict) -> None:
    args, kwargs = codec.decode_args(bytes.fromhex(vector["payload"]["hex"]))
    assert args or kwargs or vector["payload"]["text"] in ("[]", "[{}]")


def test_kwargs_and_positional_arguments() -> None:
    assert codec.decode_args(b'[{"n": 1}]') == ([], {"n": 1})
    assert codec.decode_args(b'[{"n":1}]') == ([], {"n": 1})
    assert codec.decode_args(b"[]") == ([], {})
    assert codec.decode_args(b'[1,"two",[3]]') == ([1, "two", [3]], {})


@pytest.mark.parametrize("payload", [b"", b"{", b"{}", b"3", b"\xff"])
def test_other_payloads_are_refused(payload: bytes) -> None:
    with pytest.raises(ValueError):
        codec.decode_args(payload)


def itself() -> list[object]:
    """A list that is an element of itself."""
    items: list[object] = [1]
    items.append({"again": items})
    return items


def nested(depth: int) -> object:
    """Lists in lists."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "it is NaN"),
        ({"values": [1, float("nan")]}, "values[1] is NaN"),
        ({"a": {"b c": (0, -float("inf"))}}, "a['b c'][1] is -Infinity"),
        ({"a": {float("inf"): 1}}, "a has the key Infinity"),
        ([{1: "a", "1": "b"}], "[0] has two keys that are the same in JSON: 1 and '1'"),
        ({"a": {None: 1, "null": 2}}, "a has two keys that are the same in JSON: None and 'null'"),
        ({"a": {True: 1, "true": 2}}, "a has two keys that are the same in JSON: True and 'true'"),
        ({"a": {1.5: 1, "1.5": 2}}, "a has two keys that are the same in JSON: 1.5 and '1.5'"),
        ({"a": {(1, 2): 1}}, "a has a key of the type tuple"),
        ({"a": [{1, 2}]}, "a[0] is of the type set"),
        ({"a": b""}, "a is of the type bytes"),
        (itself(), "[1].again contains itself"),
        (nested(200_000), "it is nested deeper than 2000"),
        ([10**5000], "4300 digits"),
    ],
    ids=range(14),
)
def test_what_is_no_json_is_named_with_its_place(value: object, reason: str) -> None:
    with pytest.raises(codec.NotJSONError) as error:
        codec.encode_result(value)
    assert reason in str(error.value)
    with pytest.raises(codec.NotJSONError) as error:
        codec.encode_arguments({"argument": value})
    assert reason.removeprefix("it ").removeprefix("a") in str(error.value)


def test_keys_become_text() -> None:
    assert codec.encode_result({1: "a", None: [{2.5: "b"}], False: ("c",)}) == (
        b'{"1": "a", "null": [{"2.5": "b"}], "false": ["c"]}'
    )
    with pytest.raises(codec.NotJSONError, match="a has keys of the types int and str, which can't be sorted"):
        codec.encode_arguments({"a": {1: "a", "b": 2}})
