#!/usr/bin/env python3
"""The corpus as one file: archive.py pack FOLDER ARCHIVE, archive.py unpack ARCHIVE FOLDER.

The same inputs give the same bytes: entries are sorted, and carry no time, owner or mode of this machine.
"""

import io
import pathlib
import shutil
import sys
import tarfile


def pack(folder: str, archive: str) -> None:
    root = pathlib.Path(folder)
    files = sorted(
        (path for path in root.rglob("*") if path.is_file()), key=lambda path: path.relative_to(root).as_posix()
    )
    if not files:
        sys.exit(f"{folder} holds no input: {archive} stays as it is")
    new = pathlib.Path(archive + ".new")
    with tarfile.open(new, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in files:
            data = path.read_bytes()
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    new.replace(archive)


def unpack(archive: str, folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive, "r:") as tar:
        for entry in tar:
            target, name = entry.name.split("/")
            pathlib.Path(folder, target).mkdir(parents=True, exist_ok=True)
            pathlib.Path(folder, target, name).write_bytes(tar.extractfile(entry).read())


if len(sys.argv) != 4 or sys.argv[1] not in ("pack", "unpack"):
    sys.exit(__doc__)
(pack if sys.argv[1] == "pack" else unpack)(*sys.argv[2:])
