"""What a refused file is told to be."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from brrr import files


def test_outside_of_what_is_given_the_flag_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(path: str) -> None:
        if not path.startswith("/in"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

    monkeypatch.setattr(files, "_stat", stat)

    def why(number: int, path: object) -> str | None:
        return files.why(OSError(number, "as the system says", path))

    assert why(errno.ENOENT, "/etc/hostname") == "not allowed: --dir HOST_PATH::/etc"
    assert why(errno.ENOENT, "notes.txt") == "not allowed: --dir HOST_PATH::/"
    assert why(errno.ENOENT, Path("/etc/hostname")) == "not allowed: --dir HOST_PATH::/etc"
    assert files.why(OSError(errno.ENOENT, "none", "/data"), folder=True) == "not allowed: --dir HOST_PATH::/data"
    # Out of a folder by the back door.
    assert why(errno.EPERM, "/in/../etc/hostname") == "not allowed: --dir HOST_PATH::/etc"
    assert why(errno.EPERM, "/in/a") == "only to be read, by the `:ro` of its --dir"
    # Nobody's rule.
    assert why(errno.ENOENT, "/in/none") is None
    assert why(errno.EISDIR, "/in") is None
    assert why(errno.ENOENT, None) is None


def test_an_error_keeps_its_type_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "why", lambda error, folder: "because")
    with pytest.raises(FileNotFoundError) as caught:
        files._saying_why(open)(tmp_path / "none")
    assert (caught.value.errno, caught.value.strerror) == (errno.ENOENT, "because")
    assert Path(caught.value.filename) == tmp_path / "none"
    with pytest.raises(FileNotFoundError) as caught:
        files._saying_why(os.rename)(tmp_path / "none", tmp_path / "new")
    assert Path(caught.value.filename2) == tmp_path / "new"
