"""Functions that need packages with native code. The packages are real: cffi, markupsafe and regex."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from brrr_client import Client, ShipError
from brrr_client._ship.closure import closure
from brrr_client._ship.function import find
from brrr_client._ship.native import refuse_native
from conftest import Connect

HELPER = "import regex\nsplit = regex.split\n"

REFUSED = {
    "at the top": ("import regex\ndef f(): return regex", 1),
    "in the function": ("def f():\n    import regex\n    return regex", 2),
    "a part of it, under another name": ("from regex._regex_core import Info as I\ndef f(): return I", 1),
    "in a function that it calls": ("def f(): return g()\ndef g():\n    from regex import sub\n    return sub", 3),
    "in a method that it calls": ("def f(): return C().g()\nclass C:\n    def g(self):\n        import regex", 4),
    "in a function that the module calls": ("def g():\n    import regex\nR = g()\ndef f(): return R", 2),
    "behind an error that it does not survive": ("try:\n    import regex\nexcept ImportError:\n    raise\ndef f(): return 1", 2),
    "behind an error of another kind": ("try:\n    import regex\nexcept KeyError:\n    pass\ndef f(): return 1", 2),
    "the native module itself": ("import regex._regex\ndef f(): return regex", 1),
}

ACCEPTED = {
    "it can do without": "try:\n    import regex\nexcept ImportError:\n    regex = None\ndef f(): return regex",
    "it can do without, in the function": "def f():\n    try:\n        import regex\n    except ImportError:\n        return 1",
    "the error is suppressed": "from contextlib import suppress\nwith suppress(ImportError):\n    import regex\ndef f(): return 1",
    "another way is tried first": "try:\n    import json as m\nexcept ImportError:\n    import regex as m\ndef f(): return m",
    "a condition chooses": "import sys\nif sys.platform == 'linux':\n    import regex\nelse:\n    import re\ndef f(): return 1",
    "only the program needs it": "def f(): return 1\nif __name__ == '__main__':\n    import regex",
    "another function needs it": "def f(): return 1\ndef g():\n    import regex",
    "only types need it": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import regex\ndef f(): return 1",
    "the package can do without": "import markupsafe\ndef f(): return markupsafe.escape('<')",
}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Callable[[], Any]]:
    """Writes a module, and returns its function `f`."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def make(name: str, source: str) -> Callable[[], Any]:
        (tmp_path / f"{name}.py").write_text(source)
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, name, raising=False)
        function: Callable[[], Any] = importlib.import_module(name).f
        return function

    return make


@pytest.fixture
def offline(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client that can neither build nor send anything."""
    monkeypatch.setattr(subprocess, "run", None)
    return connect("http://127.0.0.1:1", retries=0)


@pytest.mark.parametrize("case", REFUSED)
def test_native_code_is_refused(module: Callable[..., Any], offline: Client, case: str) -> None:
    source, line = REFUSED[case]
    function = module("needs_regex", source)
    with pytest.raises(ShipError) as caught:
        offline.call(function)
    message = str(caught.value)
    assert message.startswith(f"f can't be shipped: needs_regex.py:{line} imports regex; regex 20"), message
    assert " has native code for this machine (regex/_regex." in message
    assert "Use a package of pure Python instead" in message and "\n" not in message


def test_native_code_of_a_module_that_the_module_imports(module: Callable[..., Any], offline: Client, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(HELPER)
    with pytest.raises(ShipError, match=r"^f can't be shipped: helper\.py:1 imports regex; regex 20"):
        offline.call(module("imports_helper", "import helper\ndef f(): return helper.split"))
    # A module of native code that no package has.
    (tmp_path / "speedups.so").write_bytes(b"")
    with pytest.raises(ShipError, match=r"the module speedups \(.*speedups\.so\) can't be shipped: it is native code"):
        offline.call(module("imports_speedups", "def f():\n    import speedups\n    return speedups"))


def test_native_code_that_a_package_loads_when_it_is_used(module: Callable[..., Any], offline: Client) -> None:
    function = module("needs_cffi", "import cffi\ndef f(): return cffi.FFI().sizeof('int')")
    with pytest.raises(ShipError, match=r"needs_cffi\.py:1 imports cffi; cffi 2\S+ has native code for this machine \(_cffi_backend\."):
        offline.call(function)


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_can_do_without_native_code(module: Callable[..., Any], case: str) -> None:
    found = find(module("does_without", ACCEPTED[case]))
    refuse_native(found, closure(found))
