"""What happens while a component is built: imports inside functions, and what can't be imported."""

import ast
import sys
from pathlib import Path

import pytest
from brrr import late, load

SOURCE = """
import os
if TYPE_CHECKING:
    import never

def needs():
    import first
    from second import third
    class Inner:
        def method(self):
            import fourth

def may_do_without():
    try:
        import optional
    except ImportError:
        import instead
    try:
        import hidden
    except (AttributeError, ModuleNotFoundError):
        pass
    if sys.platform == "win32":
        import winreg
    try:
        import needed
    except ValueError:
        pass

@brrr.handler_no_arg
def handles():
    import eighth

async def later():
    import fifth.sixth
    importlib.import_module("seventh").run(importlib.import_module(name))
"""


def test_imports_inside_functions_are_found() -> None:
    found = {ast.unparse(node): need.name for node, need in late.late_imports(ast.parse(SOURCE))}
    assert found == {
        "import first": "PERHAPS",
        "from second import third": "PERHAPS",
        "import fourth": "PERHAPS",
        "import optional": "OPTIONAL",
        "import instead": "PERHAPS",
        "import hidden": "OPTIONAL",
        "import winreg": "OPTIONAL",
        "import needed": "PERHAPS",
        "import eighth": "ALWAYS",
        "import fifth.sixth": "ALWAYS",
        "importlib.import_module('seventh')": "ALWAYS",
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which modules can be imported; none of them stays."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def test_what_functions_import_is_loaded_and_what_is_missing_is_named(project: Path) -> None:
    (project / "handlers_of_test.py").write_text(
        "async def f():\n    import helper_of_test\n    import colorsys\n    import no_such\n    return 'x'.encode('cp737')\n"
    )
    (project / "helper_of_test.py").write_text("def g():\n    import wave\n    from . import nothing\n")
    for module in ("colorsys", "wave", "encodings.cp737"):
        sys.modules.pop(module, None)
    __import__("handlers_of_test")
    lacking = late.load([f"{project}/"], [], set(sys.modules))
    assert {"helper_of_test", "colorsys", "wave", "encodings.cp737"} <= sys.modules.keys()
    assert lacking.always == [
        "handlers_of_test.py:4: import no_such: there is no module no_such: is no_such in requirements.txt?"
    ]
    (line,) = lacking.perhaps
    assert line.startswith("helper_of_test.py:3: from . import nothing: ")


def test_native_code_is_named_as_such(project: Path) -> None:
    (project / "fast").mkdir()
    (project / "fast" / "__init__.py").write_text("from fast import _speedups\n")
    (project / "fast" / "_speedups.cpython-39-x86_64-linux-gnu.so").write_bytes(b"")
    with pytest.raises(ImportError) as error:
        __import__("fast")
    # Python 3.12 and newer say which name could not be imported, and the component's is newer.
    error.value.name_from = "_speedups"  # type: ignore[attr-defined]
    text = load.explain(error.value, [f"{project}/"])
    assert text.startswith("fast has native code for this machine (fast/_speedups.cpython-39-x86_64-linux-gnu.so)")


def test_native_code_that_was_found_and_can_not_be_loaded_is_named() -> None:
    error = ImportError("library not found", name="_core", path="/3/fast/_core.abi3.so")
    assert load.explain(error, ["/3/"]).startswith("fast has native code for this machine (fast/_core.abi3.so)")


def test_a_missing_package_is_named(project: Path) -> None:
    with pytest.raises(ImportError) as error:
        __import__("no_such_package.inner")
    assert load.explain(error.value, [f"{project}/"]).startswith(
        "there is no module no_such_package: is no_such_package in requirements.txt?"
    )


def test_a_module_of_the_library_that_components_lack_is_named() -> None:
    error = ModuleNotFoundError("No module named '_ssl'", name="_ssl")
    assert load.explain(error, []).startswith("a component has no _ssl, though other Pythons do")
