"""`python -m brrr.build APP.py -o APP.wasm`: compiles a module of handlers to a WebAssembly component."""

from __future__ import annotations

import argparse
import modulefinder
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SDK = Path(__file__).resolve().parent

WIT_FOLDERS = (SDK, SDK.parents[3] / "wit") if len(SDK.parents) > 3 else (SDK,)
"""Where worker.wit is: packed with the SDK, or in the repository that the SDK is part of."""

WORLDS = {"brrr.http": "http"}
"""Modules of the SDK that need a world of wit/guest.wit besides `guest`. Each has a module `wasi`, which uses it."""

NAMES = {"brrr:worker/types@0.1.0": "types", "wasi:http/types@0.2.12": "http_types"}
"""What Python calls interfaces of which another one has the same name."""

ENTRY = """\
import {modules}
from brrr.component import Handler
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="brrr-build",
        description="Compiles the handlers of a Python module to a WebAssembly component.",
        epilog="example: python -m brrr.build app.py -o app.wasm && brrr-host run --topic demo app.wasm",
    )
    parser.add_argument("module", type=Path, help="the module, as a file: app.py")
    parser.add_argument("-o", "--output", type=Path, help="the component (default: beside the module)")
    parser.add_argument(
        "-p", "--path", type=Path, action="append", default=[], help="another folder to import from; may be repeated"
    )
    parser.add_argument("--wit", type=Path, help="the folder of worker.wit (default: the one that comes with the SDK)")
    args = parser.parse_args()
    output: Path = args.output or args.module.with_suffix(".wasm")
    try:
        build(args.module, output, args.path, args.wit)
    except BuildError as error:
        sys.exit(f"brrr-build: {error}")
    print(f"{output.name}: {output.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


class BuildError(Exception):
    """The component can't be built; the message says why."""


def build(module: Path, output: Path, paths: list[Path], wit: Path | None = None) -> None:
    """Compiles the file `module`, importing from its own folder and `paths`, to the file `output`."""
    if not module.is_file():
        raise BuildError(f"no such file: {module}")
    if module.suffix != ".py" or not module.stem.isidentifier():
        raise BuildError(f"{module.name} can't be imported: a module's file is called like app.py")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="brrr-build-") as folder:
        used = _imported(module, paths) & WORLDS.keys()
        modules = [module.stem, *(f"{name}.wasi" for name in used)]
        (Path(folder) / "brrr_entry.py").write_text(ENTRY.format(modules=", ".join(modules)))
        wit_folder = _wit_folder(wit, Path(folder) / "wit", ["guest", *(WORLDS[name] for name in used)])
        command = [_componentize_py(), "--quiet", "-d", str(wit_folder), "-w", "component"]
        for interface, name in NAMES.items():
            command += ["--import-interface-name", f"{interface}={name}"]
        command += ["componentize", "brrr_entry", "-o", str(output)]
        for path in [Path(folder), module.resolve().parent, *paths, SDK.parent, *_site_packages()]:
            command += ["-p", str(path)]
        if subprocess.run(command).returncode != 0:
            raise BuildError(f"componentize-py could not compile {module} (its message is above)")


def _imported(module: Path, paths: list[Path]) -> set[str]:
    """The modules that a handler's module imports, itself or through others: a component has no more than it uses."""
    finder = modulefinder.ModuleFinder([str(path) for path in (module.resolve().parent, *paths, SDK.parent)])
    try:
        finder.run_script(str(module))
    except SyntaxError:
        # The component's Python may be newer than this one: it has the last word on the syntax.
        return set(WORLDS)
    return set(finder.modules)


def _wit_folder(given: Path | None, scratch: Path, worlds: list[str]) -> Path:
    """A folder with the world `component`, which has those worlds in it."""
    for folder in (given, *WIT_FOLDERS):
        if folder is not None and (folder / "worker.wit").is_file():
            shutil.copytree(SDK / "wit", scratch)
            (scratch / "deps" / "worker").mkdir()
            shutil.copy(folder / "worker.wit", scratch / "deps" / "worker")
            # Not as several worlds for componentize-py to merge: it panics where they share a resource.
            includes = "".join(f"  include {world};\n" for world in worlds)
            (scratch / "component.wit").write_text(f"package brrr:python;\n\nworld component {{\n{includes}}}\n")
            return scratch
    raise BuildError("worker.wit not found; name its folder with --wit")


def _componentize_py() -> str:
    beside = Path(sys.executable).parent / "componentize-py"
    found = str(beside) if beside.is_file() else shutil.which("componentize-py")
    if found is None:
        raise BuildError("componentize-py is needed: pip install componentize-py==0.25.1")
    return found


def _site_packages() -> list[Path]:
    """Where pip installs to in this environment: what the handlers import may come from there."""
    return [Path(path) for path in sys.path if path.endswith("site-packages")]


if __name__ == "__main__":
    main()
