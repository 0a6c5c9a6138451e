"""`python -m brrr.build APP.py -o APP.wasm`: compiles a module of handlers to a WebAssembly component."""

from __future__ import annotations

import argparse
import importlib.util
import modulefinder
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MARKS = ("<<brrr ", " brrr>>")
"""Around the text of an error: see `brrr.load`, which this Python may be too old to import."""

SDK = Path(__file__).resolve().parent

WIT_FOLDERS = (SDK, SDK.parents[3] / "wit") if len(SDK.parents) > 3 else (SDK,)
"""Where worker.wit is: packed with the SDK, or in the repository that the SDK is part of."""

WORLDS = {"brrr.http": "http"}
"""Modules of the SDK that need a world of wit/guest.wit besides `guest`. Each has a module `wasi`, which uses it."""

NAMES = {"brrr:worker/types@0.2.0": "types", "wasi:http/types@0.2.12": "http_types"}
"""What Python calls interfaces of which another one has the same name."""

ENTRY = """\
from brrr import load
load.load({module!r}, {own!r}, {packages!r})
import {modules}
from brrr.component import Handler
"""
"""The module that the component is made of. The folders are called `/0`, `/1`, … in it, in the order of the options `-p`."""


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
        own = [module.resolve().parent, *paths]
        packages = _site_packages()
        folders = [Path(folder), *own, SDK.parent, *packages]
        inside = [f"/{i}/" for i in range(len(folders))]
        entry = ENTRY.format(
            module=module.stem,
            own=inside[1 : 1 + len(own)],
            packages=inside[2 + len(own) :],
            modules=", ".join(modules),
        )
        (Path(folder) / "brrr_entry.py").write_text(entry)
        wit_folder = _wit_folder(wit, Path(folder) / "wit", ["guest", *(WORLDS[name] for name in used)])
        command = [*_componentize_py(), "--quiet", "-d", str(wit_folder), "-w", "component"]
        for interface, name in NAMES.items():
            command += ["--import-interface-name", f"{interface}={name}"]
        command += ["componentize", "brrr_entry", "-o", str(output)]
        for path in folders:
            command += ["-p", str(path)]
        _run(command, module)
        warnings = Path(folder) / "warnings"
        for line in warnings.read_text("utf-8").splitlines() if warnings.is_file() else ():
            print(f"warning: {line} (if a handler comes to this, it fails)", file=sys.stderr)


def _run(command: list[str], module: Path) -> None:
    # componentize-py adds an environment's packages by itself. Unless it is told that they are these, it takes those of the
    # user's shell or of the machine, which no requirements.txt names.
    settings = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    # Rust's backtraces say nothing about the handlers.
    settings |= {"RUST_BACKTRACE": "0", "RUST_LIB_BACKTRACE": "0"}
    ended = subprocess.run(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = ended.stdout.decode("utf-8", "replace")
    if ended.returncode == 0:
        sys.stderr.write(output)
        return
    begin, end = MARKS
    if begin in output and end in output:
        # Of the user's sources, and of packages, the names in the component are of no use.
        text = output.split(begin, 1)[1].split(end, 1)[0]
        raise BuildError(re.sub(_INSIDE, "", text))
    sys.stderr.write(output)
    raise BuildError(f"componentize-py could not compile {module} (its message is above)")


_INSIDE = re.compile(r"(?<![\w.])/\d+/")
"""How a path begins in the component."""


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


def _componentize_py() -> list[str]:
    if importlib.util.find_spec("componentize_py") is not None:
        # Not its program: that names the folder in which it was installed, which may have been moved or copied since.
        return [sys.executable, "-c", "import componentize_py, sys; sys.exit(componentize_py.script())"]
    if found := shutil.which("componentize-py"):
        return [found]
    raise BuildError("componentize-py is needed: pip install componentize-py==0.25.1")


def _site_packages() -> list[Path]:
    """Where pip installs to in this environment: what the handlers import may come from there."""
    return [Path(path) for path in sys.path if path.endswith("site-packages")]


if __name__ == "__main__":
    main()
