"""The examples of README.md run as they are, and print what their comments say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from brrr_client import Client
from host import Host

BLOCKS = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.DOTALL)


def test_the_examples(start_host: Callable[..., Host], capsys: pytest.CaptureFixture[str]) -> None:
    # A host of its own: the examples say which jobs there are.
    host = start_host()
    assert len(BLOCKS) > 4
    with Client(host.url) as client:
        given: dict[str, Any] = {"client": client}
        for block in BLOCKS:
            exec(compile(block.replace("http://localhost:8080", host.url), "README.md", "exec"), given)
            said = capsys.readouterr().out
            assert said.splitlines() == re.findall(r"print\(.*\)  # (.*)", block), block
            # The first examples have a client of their own, which they close.
            given["client"] = client
