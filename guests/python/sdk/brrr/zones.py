"""`zoneinfo` inside handlers. Time zones are files of the package tzdata, and a component has no files: so they are read
while it is built."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import IO, Any

from brrr import data

_USERS = {"dateutil", "tzdata", "zoneinfo"}

_zones: dict[str, bytes] = {}


def install() -> None:
    """Reads all zones, if the handlers use any."""
    if not _USERS & sys.modules.keys():
        return
    import zoneinfo._common

    _zones.update(_read())
    common: Any = zoneinfo._common
    common.load_tzdata = _load


def _read() -> list[tuple[str, bytes]]:
    try:
        import tzdata  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return []
    folder = os.path.dirname(tzdata.__file__ or "")
    names = os.path.join(folder, "zones")
    with open(names, "rb") as file:
        keys = file.read().decode().split()
    data.keep(names, "\n".join(keys).encode(), folder)  # for `zoneinfo.available_timezones`
    kept: dict[bytes, bytes] = {}
    zones = []
    for key in keys:
        path = os.path.join(folder, "zoneinfo", *key.split("/"))
        with open(path, "rb") as zone:
            content = zone.read()
        # Half of all zones are other names of the rest.
        content = kept.setdefault(content, content)
        zones.append((key, content))
        # For packages that read zones by themselves, as `importlib.resources` does it.
        data.keep(path, content, folder)
        importlib.import_module(".".join(["tzdata.zoneinfo", *key.split("/")[:-1]]))
    return zones


def _load(key: str) -> IO[bytes]:
    from zoneinfo._common import ZoneInfoNotFoundError

    if (content := _zones.get(key)) is not None:
        return io.BytesIO(content)
    if _zones:
        raise ZoneInfoNotFoundError(f"no time zone is called {key}")
    raise ZoneInfoNotFoundError(
        f"the time zone {key} is not in this component: write the line `tzdata` into requirements.txt, and build again"
    )
