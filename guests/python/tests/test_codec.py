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
    payload, call_hash = codec.encode_call(vector["task_name"], kwargs)
    assert payload.hex() == vector["payload"]["hex"]
    assert call_hash == vector["call_hash"]


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
