"""The data files of packages, after the packages' folder is gone: as in a component."""

import importlib.resources
import io
import os
import pkgutil
import shutil
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
from brrr import data


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package whose data was kept, and that is not there any more."""
    folder = tmp_path / "packaged_for_test"
    (folder / "inner" / "deeper").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "words.txt").write_text("ä\nb\n")
    (folder / "inner" / "deeper" / "raw.bin").write_bytes(b"\x00\x01")
    for place, name in ((os, "stat"), (os, "listdir"), (os, "scandir"), (io, "open")):
        monkeypatch.setattr(place, name, getattr(place, name))
    monkeypatch.setattr("builtins.open", open)
    monkeypatch.setattr(SourceFileLoader, "get_data", SourceFileLoader.get_data)
    monkeypatch.setattr(data, "_files", {})
    monkeypatch.setattr(data, "_folders", {})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    __import__("packaged_for_test")
    data.collect([f"{tmp_path}/"])
    shutil.rmtree(folder)
    data.install()
    return folder


def test_the_usual_ways_to_read_data(package: Path) -> None:
    with open(package / "words.txt", encoding="utf-8") as file:
        assert list(file) == ["ä\n", "b\n"]
    with open(f"{package}/inner/../inner/deeper/raw.bin", "rb") as raw:
        assert raw.read() == b"\x00\x01"
    assert (package / "words.txt").read_text(encoding="utf-8") == "ä\nb\n"
    assert pkgutil.get_data("packaged_for_test", "inner/deeper/raw.bin") == b"\x00\x01"
    resources = importlib.resources.files("packaged_for_test")
    assert resources.joinpath("words.txt").is_file() and resources.joinpath("words.txt").read_bytes()[-2:] == b"b\n"
    assert sorted(each.name for each in resources.iterdir()) == ["inner", "words.txt"]


def test_folders(package: Path) -> None:
    assert os.listdir(package) == ["inner", "words.txt"]
    assert [(entry.name, entry.is_dir()) for entry in os.scandir(package)] == [("inner", True), ("words.txt", False)]
    assert os.path.isdir(package / "inner") and os.path.getsize(package / "words.txt") == 5
    assert not os.path.exists(package / "other")


def test_nothing_else_changes(package: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert (tmp_path / "mine.txt").read_text() == "mine"
    with pytest.raises(FileNotFoundError):
        open(package / "other")
    with pytest.raises(PermissionError, match="only be read"):
        open(package / "words.txt", "w")
    with pytest.raises(OSError):
        os.stat(12345)


def test_a_package_with_much_data_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_files", {})
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.bin").write_bytes(b"x" * data.MOST)
    data._collect(str(tmp_path))
    assert data._files == {}
